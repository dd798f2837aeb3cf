//! Policies that can't hold, and those that fail when they are asked.

use super::{
    super::{
        super::{
            principal::Facts,
            vocabulary::{Action, PrincipalKind, Resource},
        },
        Decision, Policies, built_in_files,
    },
    facts, node, write,
};
use std::{
    fmt::Debug,
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::{
    Layer,
    layer::{Context as LayerContext, SubscriberExt as _},
};

const GOOD: &str = "permit (principal is CATALYST::ADMIN, action, resource);\n";

/// What is wrong with a directory of these files; the directory's own name is cut off.
fn refused(files: &[(&str, &str)]) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    refused_dir(dir.path())
}

fn refused_dir(dir: &Path) -> Vec<String> {
    let error = Policies::load(Some(dir)).unwrap_err();
    error.flaws().iter().map(|flaw| flaw.to_string().replace(&dir.display().to_string(), "DIR")).collect()
}

#[track_caller]
fn assert_names(text: &str, place: &str, what: &str) {
    let flaws = refused(&[("good.cedar", GOOD), ("bad.cedar", text)]);
    let named =
        flaws.iter().any(|flaw| flaw.starts_with(&format!("DIR/bad.cedar:{place}: ")) && flaw.contains(what));
    assert!(named, "{flaws:#?}");
}

#[test]
fn every_mistake_is_named_with_file_and_line() {
    assert_names(
        "// A comment.\npermit (principal, action resource);\n",
        "2:27",
        "unexpected token `resource`",
    );
    assert_names("permit (principal, action, resource)", "1:37", "unexpected end of input");
    assert_names(
        "permit (principal is CATALYST::NODE, action, resource)\nwhen { principal.shoeSize == 4 };\n",
        "2:8",
        "shoeSize",
    );
    assert_names(
        "permit (principal is CATALYST::NODE, action, resource)\nwhen { principal.nodeId == \"n1\" };\n",
        "2:8",
        "nodeId",
    );
    assert_names("\n\npermit (principal, action == CATALYST::Action::\"DANCE\", resource);", "3:30", "DANCE");
    assert_names("permit (principal is CATALYST::QUEEN, action, resource);", "1:22", "QUEEN");
    assert_names(
        "permit (principal is CATALYST::ADMIN, action, resource)\nwhen { resource.nodeId == 4 };\n",
        "2:8",
        "types",
    );
    assert_names("permit (principal, action, resource) when { shout(\"1.2.3.4\") };", "1:45", "shout");
    assert_names("\n// Of one.\n\npermit (principal == ?principal, action, resource);\n", "4:1", "template");
}

#[test]
fn all_mistakes_of_all_files_are_named_at_once() {
    let flaws = refused(&[
        ("a.cedar", "permit (principal, action, resource) when { principal.x };"),
        ("b.cedar", "permit (principal, action, resource) when { resource.y };"),
    ]);
    assert!(flaws.iter().any(|flaw| flaw.starts_with("DIR/a.cedar:1:45: ")), "{flaws:#?}");
    assert!(flaws.iter().any(|flaw| flaw.starts_with("DIR/b.cedar:1:45: ")), "{flaws:#?}");
    let flaws = refused(&[("a.cedar", "permit"), ("b.cedar", "forbid"), ("c.cedar", GOOD)]);
    assert_eq!(flaws.len(), 2, "{flaws:#?}");
}

#[test]
fn policies_of_two_files_do_not_collide_and_keep_their_lines() {
    let dir = TempDir::new().unwrap();
    // The comment looks like the policy after it.
    let forbid = "forbid (principal, action, resource);";
    write(dir.path(), "a.cedar", &format!("// {forbid}\n{GOOD}\n/////\n   {forbid} {forbid}"));
    write(dir.path(), "b.cedar", forbid);
    write(dir.path(), "README.md", "not read");
    write(dir.path(), ".b.cedar.swp.cedar", "not read");
    let policies = Policies::load(Some(dir.path())).unwrap();
    assert_eq!(
        policies.counts().into_iter().collect::<Vec<_>>(),
        [("a.cedar".into(), 3), ("b.cedar".into(), 1)]
    );
    let decision = policies.decide(&facts(PrincipalKind::Admin), Action::CaRead, &Resource::whole());
    let blamed = ["a.cedar#2 (line 5)", "a.cedar#3 (line 5)", "b.cedar#1 (line 1)"].map(str::to_owned);
    assert_eq!(decision, Decision::Deny(blamed.to_vec()));
}

#[test]
fn a_directory_without_policies_is_refused() {
    let nothing = refused(&[("README.md", "")]);
    assert!(nothing[0].starts_with("DIR: holds no *.cedar file: "), "{nothing:?}");
    let comments = refused(&[("a.cedar", "// Later.\n")]);
    assert_eq!(comments, ["DIR: its *.cedar files hold no policy, so that everything would be denied"]);
    let missing = refused_dir(Path::new("/nowhere/policies"));
    assert!(missing[0].starts_with("DIR: cannot be read: No such file or directory"), "{missing:?}");
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let large = "// A line that says nothing.\n".repeat(40_000);
    assert_eq!(refused(&[("a.cedar", &large)]), ["DIR/a.cedar: is larger than 1 MiB: split it"]);

    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.cedar"), b"// \xff").unwrap();
    assert_eq!(refused_dir(dir.path()), ["DIR/a.cedar: is not UTF-8: the byte at 3 belongs to no character"]);

    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("a.cedar")).unwrap();
    assert_eq!(refused_dir(dir.path()), ["DIR/a.cedar: is not a regular file"]);

    let dir = TempDir::new().unwrap();
    symlink("a.cedar", dir.path().join("a.cedar")).unwrap();
    let flaws = refused_dir(dir.path());
    assert!(flaws[0].starts_with("DIR/a.cedar: cannot be read: Too many levels"), "{flaws:?}");

    let dir = TempDir::new().unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    let flaws = refused_dir(&dir.path().join("loop"));
    assert!(flaws[0].starts_with("DIR: cannot be read: Too many levels"), "{flaws:?}");

    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("a.cedar");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(refused_dir(dir.path()), ["DIR/a.cedar: is not a regular file"]);
}

#[test]
fn the_schema_is_the_programs() {
    let dir = TempDir::new().unwrap();
    for (name, text) in built_in_files() {
        write(dir.path(), name, text);
    }
    let own = Policies::load(Some(dir.path())).unwrap();
    assert_eq!(own.hash(), Policies::built_in().unwrap().hash());
    write(dir.path(), "schema.cedarschema", "entity ADMIN;");
    let flaws = refused_dir(dir.path());
    assert!(flaws[0].starts_with("DIR/schema.cedarschema: is not the schema of this version"), "{flaws:?}");
}

/// Cedar's parser and its trees recurse: without a bound of ours, such a file ends the process.
#[test]
fn policies_without_measure_are_an_error_and_no_crash() {
    let nested = [
        ("(", "true", ")"),
        ("!", "true", ""),
        ("-", "1", ""),
        ("[", "1", "]"),
        ("{a: ", "1", "}"),
        ("if true then ", "true", " else true"),
        ("true && ", "true", ""),
        ("true || ", "true", ""),
        ("1 + ", "1", ""),
        ("1 * ", "1", ""),
        ("", "principal", ".a"),
        ("", "principal", "[\"a\"]"),
        ("", "true", "} when { true"),
        // What the bounds take for the rest of a string, Cedar takes for nothing.
        ("\"((((", "true", ""),
    ];
    for (before, middle, after) in nested {
        // Bounded by us, and at what we let pass, in a debug build with the stack of a worker thread.
        for times in [60, 900, 1_900, 900_000 / (before.len() + after.len())] {
            let (before, after) = (before.repeat(times), after.repeat(times));
            let scope = "principal is CATALYST::ADMIN, action == CATALYST::Action::\"CA_READ\", resource";
            let text = format!("permit ({scope}) when {{ {before}{middle}{after} }};");
            let dir = TempDir::new().unwrap();
            write(dir.path(), "a.cedar", &text);
            let loaded = Policies::load(Some(dir.path()));
            assert!(loaded.is_err() || times < 2_000, "{before:.20}{middle}{after:.20}");
            if let Ok(policies) = loaded {
                let _ = policies.decide(&facts(PrincipalKind::Admin), Action::CaRead, &Resource::whole());
            }
        }
    }
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies_even_what_another_permits() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "a.cedar", GOOD);
    write(
        dir.path(),
        "b.cedar",
        "\nforbid (principal, action == CATALYST::Action::\"CA_READ\", resource)\nwhen { 9223372036854775807 + 1 > 0 };\n",
    );
    let policies = Policies::load(Some(dir.path())).unwrap();
    let admin = facts(PrincipalKind::Admin);
    let decision = policies.decide(&admin, Action::CaRead, &Resource::whole());
    assert_eq!(decision, Decision::Deny(vec!["b.cedar#1 (line 2)".into()]));
    assert_eq!(policies.decide(&admin, Action::CaManage, &Resource::whole()), Decision::Allow);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let mut line = format!("{} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut |field: &Field, value: &dyn Debug| line.push_str(&format!(" {field}={value:?}")));
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn a_policy_that_cannot_be_evaluated_is_logged_once_a_minute() {
    let dir = TempDir::new().unwrap();
    write(
        dir.path(),
        "a.cedar",
        "permit (principal, action, resource) when { 9223372036854775807 + 1 > 0 };",
    );
    let policies = Policies::load(Some(dir.path())).unwrap();
    let log = Log::default();
    let who = Facts { name: "x".repeat(65_536), ..facts(PrincipalKind::Node) };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.clone()), || {
        for _ in 0..100 {
            policies.decide(&who, Action::Manage, &node("n1", ""));
        }
    });
    let lines = log.0.lock().unwrap();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("ERROR catalyst.auth "), "{line}");
    assert!(line.contains("policy=a.cedar#1 (line 1)") && line.contains("overflow"), "{line}");
    assert!(line.len() < 1_000, "{line}");
}

#[test]
fn a_policy_for_everybody_opens_no_more_than_csrs_to_a_bootstrap_credential() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "a.cedar", "permit (principal, action, resource);");
    let policies = Policies::load(Some(dir.path())).unwrap();
    for action in Action::ALL {
        let decision = policies.decide(&facts(PrincipalKind::Bootstrap), *action, &node("n1", "a.org"));
        assert_eq!(decision == Decision::Allow, *action == Action::CertSign, "{action}");
    }
}
