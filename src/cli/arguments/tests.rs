//! Command lines, and what they ask for.

use super::*;
use crate::settings::BackendSettings;

fn table() -> Table {
    Table::new([BackendSettings::new("local", &[])])
}

fn parsed(line: &str) -> Result<Command, clap::Error> {
    parse(&table(), line.split(' ').map(OsString::from), Environment::default())
}

#[test]
fn the_grammar_is_sound() {
    command(&table()).debug_assert();
}

#[test]
fn flags_reach_the_settings() {
    let Ok(Command::Serve(inputs)) = parsed("catalyst serve --dev --listen 127.0.0.1:0") else {
        panic!("serve is wanted")
    };
    assert!(inputs.dev);
    assert_eq!(inputs.flags["listen"], "127.0.0.1:0");
}

#[test]
fn the_version_has_a_command_and_a_flag() {
    assert!(matches!(parsed("catalyst version --output json"), Ok(Command::Version(Output::Json))));
    assert!(parsed("catalyst --version").unwrap_err().to_string().starts_with("catalyst "));
}

#[test]
fn a_passphrase_can_be_asked_for() {
    assert!(matches!(parsed("catalyst passphrase new"), Ok(Command::NewPassphrase(Output::Text))));
    assert!(matches!(
        parsed("catalyst passphrase new --output json"),
        Ok(Command::NewPassphrase(Output::Json))
    ));
    assert!(parsed("catalyst passphrase").unwrap_err().use_stderr());
}

fn asked(line: &str) -> (Box<Access>, Request, Output) {
    match parsed(line) {
        Ok(Command::Ask(access, request, output)) => (access, request, output),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_service_can_be_named_before_and_after_the_command() {
    for line in [
        "catalyst --auth-url wss://a --output json auth token list",
        "catalyst auth --auth-url wss://a token --output json list",
        "catalyst auth token list --auth-url wss://a --output json",
        "catalyst --auth-url ws://b --output text auth token list --auth-url wss://a --output json",
    ] {
        let (access, _, output) = asked(line);
        assert_eq!((access.url.as_deref(), output), (Some("wss://a"), Output::Json), "{line}");
    }
    let (access, _, output) = asked("catalyst pki audit");
    assert_eq!((access.url, access.insecure_http, output), (None, false, Output::Text));
    assert!(parsed("catalyst --auth-url wss://a version").unwrap_err().to_string().contains("--auth-url"));
    assert!(matches!(parsed("catalyst --output json version"), Ok(Command::Version(Output::Json))));
}

#[test]
fn a_token_is_minted_as_it_was_asked_for() {
    let line = "catalyst auth token mint ops --principal ADMIN --expires-in 2h --trusted-domains a,b --trusted-domains c";
    let (_, Request::Mint(wanted), _) = asked(line) else { panic!("mint is wanted") };
    assert_eq!((wanted.subject.as_str(), wanted.principal.as_str()), ("ops", "ADMIN"));
    assert_eq!((wanted.entity.id.as_str(), wanted.entity.name.as_str()), ("ops", "ops"));
    assert_eq!((wanted.entity.entity_type.as_str(), wanted.expires_in.as_deref()), ("service", Some("2h")));
    assert_eq!(wanted.entity.trusted_domains.unwrap(), ["a", "b", "c"]);
    assert_eq!((wanted.entity.trusted_nodes, wanted.sans, wanted.any_identity), (None, None, None));
    let hex = "AA:".repeat(31) + "AA";
    let line = format!("catalyst auth token mint ops --principal NODE --cert-fingerprint {hex}");
    let (_, Request::Mint(wanted), _) = asked(&line) else { panic!("mint is wanted") };
    assert_eq!(wanted.certificate_fingerprint.unwrap().len(), 43);
}

#[test]
fn a_fingerprint_may_begin_with_a_hyphen() {
    for print in
        [format!("-l{}", "A".repeat(41)), format!("--{}", "A".repeat(41)), format!("-h{}", "A".repeat(41))]
    {
        let (_, Request::Mint(wanted), _) =
            asked(&format!("catalyst auth token mint ops --principal NODE --cert-fingerprint {print}"))
        else {
            panic!("mint is wanted")
        };
        assert_eq!(wanted.certificate_fingerprint, Some(print.clone()));
        let (_, Request::Cert(CertRequest::Show(name)), _) =
            asked(&format!("catalyst pki cert show {print}"))
        else {
            panic!("{print}")
        };
        assert_eq!(name, print);
        for option in ["--root-fingerprint", "--server-fingerprint"] {
            let (access, ..) = asked(&format!("catalyst pki status {option} {print}"));
            assert_eq!(access.root_fingerprint.or(access.server_fingerprint), Some(print.clone()));
        }
    }
}

#[test]
fn a_principal_is_one_that_there_is() {
    for name in ["ADMIN", "CATALYST::ADMIN", "DATA_CUSTODIAN", "CATALYST::USER", "BOOTSTRAP"] {
        let (_, Request::Mint(wanted), _) = asked(&format!("catalyst auth token mint a --principal {name}"))
        else {
            panic!("mint is wanted")
        };
        assert_eq!(wanted.principal, name);
    }
    let error = parsed("catalyst auth token mint a --principal QUEEN").unwrap_err().to_string();
    assert!(error.contains("NODE_CUSTODIAN") && !error.contains("BOOTSTRAP"), "{error}");
}

#[test]
fn a_dash_is_no_file_to_write() {
    let generate = format!("catalyst pki cert generate --spiffe-id {ID}");
    for (line, part) in [
        (format!("{generate} --output-cert - --output-key k"), "not to standard output"),
        (format!("{generate} --output-cert c --output-key -"), "not to standard output"),
        (format!("catalyst pki cert sign-csr --csr c --spiffe-id {ID} --output-cert -"), "leave the option"),
        (format!("catalyst pki cert export {} --output-cert -", "1f".repeat(16)), "leave the option"),
        ("catalyst pki ca bundle --output-file -".into(), "leave the option"),
    ] {
        let error = parsed(&line).unwrap_err();
        assert!(error.use_stderr(), "{line}");
        let error = error.to_string();
        assert!(error.contains(part) && error.contains("./-"), "{line}: {error}");
    }
    let (_, Request::Ca(CaRequest::Bundle(wanted)), _) = asked("catalyst pki ca bundle --output-file ./-")
    else {
        panic!("bundle is wanted")
    };
    assert_eq!(wanted.file.unwrap(), Path::new("./-"));
}

/// What each option takes is all that a shell has to complete by.
#[test]
fn shells_know_which_options_are_files() {
    fn check(command: &clap::Command) {
        for arg in command.get_arguments() {
            let hint = arg.get_value_hint();
            let name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
            let (at, long) = (command.get_name(), arg.get_id());
            match name {
                "FILE" => assert!(matches!(hint, ValueHint::FilePath | ValueHint::AnyPath), "{at} {long}"),
                "DIR" | "DIRECTORY" => assert_eq!(hint, ValueHint::DirPath, "{at} {long}"),
                _ => assert!(!matches!(hint, ValueHint::FilePath | ValueHint::DirPath), "{at} {long}"),
            }
        }
        command.get_subcommands().for_each(check);
    }
    let mut grammar = command(&table());
    grammar.build();
    check(&grammar);
}

#[test]
fn a_bootstrap_credential_needs_no_principal() {
    for line in [
        "catalyst auth token mint bootstrap",
        "catalyst auth token mint bootstrap --principal ADMIN --expires-in 1h",
        "catalyst auth token mint bootstrap --spiffe-id spiffe://a/node/b",
        "catalyst auth token mint bootstrap --any-identity --uses 3",
    ] {
        assert!(matches!(asked(line).1, Request::Mint(_)), "{line}");
    }
}

#[test]
fn contradictions_are_wrong_usage() {
    for line in [
        "catalyst auth token mint",
        "catalyst auth token mint ops",
        "catalyst auth token mint ops --principal ADMIN --any-identity",
        "catalyst auth token mint ops --principal ADMIN --trusted-domains ,",
        "catalyst auth token mint ops --principal ADMIN --cert-fingerprint abc",
        "catalyst auth token mint bootstrap --any-identity --spiffe-id spiffe://a/node/b",
        "catalyst auth token mint bootstrap --uses 2",
        "catalyst auth token verify",
        "catalyst auth token verify a --file b",
        "catalyst auth token revoke",
        "catalyst auth token revoke --jti a --san b",
        "catalyst auth key rotate --immediate --grace 1h",
        "catalyst auth key rotate --grace 1w",
        "catalyst pki ca",
        "catalyst pki ca activate",
        "catalyst pki ca revoke a",
        "catalyst pki ca revoke a --reason because",
        "catalyst pki ca repin a",
        "catalyst pki ca bundle --force",
        "catalyst pki init --ttl-days 0",
        "catalyst auth key rotate --grace 31d",
        "catalyst auth token mint ops --principal ADMIN --expires-in soon",
        "catalyst pki audit --since yesterday",
        "catalyst pki audit --follow --limit 3",
        "catalyst token recover --data-dir a --certs-db b",
        "catalyst --token a serve",
    ] {
        assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
    }
}

#[test]
fn the_audit_log_is_asked_for_and_verified() {
    let (_, Request::Audit(filter), _) =
        asked("catalyst pki audit --after 3 --action certificate. --since 5")
    else {
        panic!("audit is wanted")
    };
    assert_eq!(
        (filter.after, filter.action.as_deref(), filter.since),
        (Some(3), Some("certificate."), Some(5))
    );
    let (_, Request::VerifyAudit { heads, .. }, _) = asked("catalyst pki audit verify --head heads.json")
    else {
        panic!("verify is wanted")
    };
    assert_eq!(heads.unwrap(), Path::new("heads.json"));
}

#[test]
fn the_role_of_a_ca_is_read_from_its_name_unless_it_is_said() {
    let role = |name: &str, more: &[&str]| {
        let line = ["catalyst", "pki", "ca", "create-intermediary", "--common-name", name];
        let line = line.iter().chain(more).map(OsString::from);
        match parse(&table(), line, Environment::default()) {
            Ok(Command::Ask(_, Request::Ca(CaRequest::Create(wanted)), _)) => Ok(wanted.role.unwrap()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    assert_eq!(role("Acme SERVICES CA", &[]).unwrap(), "services");
    assert_eq!(role("acme transport", &[]).unwrap(), "transport");
    assert_eq!(role("Edge", &["--role", "transport"]).unwrap(), "transport");
    assert_eq!(role("Services and Transport", &["--role", "services"]).unwrap(), "services");
    for name in ["Edge", "Services and Transport", ""] {
        assert!(role(name, &[]).unwrap_err().contains("--role"), "{name}");
    }
    assert!(role("Edge", &["--role", "root"]).is_err());
}

#[test]
fn a_bare_init_makes_the_root_alone_and_never_twice() {
    let (_, Request::Init(wanted), _) = asked("catalyst pki init") else { panic!("init is wanted") };
    // A name in the request is what makes a second time a conflict.
    assert_eq!(
        (wanted.common_name.as_deref(), wanted.with_intermediates),
        (Some("Catalyst Root CA"), Some(false))
    );
    let (_, Request::Init(wanted), _) = asked("catalyst pki init --ttl-days 90 --with-intermediates") else {
        panic!("init is wanted")
    };
    assert_eq!((wanted.ttl_days, wanted.with_intermediates), (Some(90), Some(true)));
    assert!(matches!(asked("catalyst pki status").1, Request::Status));
}

#[test]
fn a_data_directory_names_its_store() {
    let Ok(Command::RecoverToken { inputs, print, .. }) =
        parsed("catalyst token recover --data-dir /d --print")
    else {
        panic!("recover is wanted")
    };
    assert_eq!((inputs.flags["certs-db"].as_str(), print), ("/d/certs.db", true));
}

#[test]
fn a_switch_may_be_given_alone_or_with_its_value() {
    for (line, value) in [
        ("catalyst serve --insecure-http --dev", "true"),
        ("catalyst serve --insecure-http=false --dev", "false"),
    ] {
        let Ok(Command::Serve(inputs)) = parsed(line) else { panic!("serve is wanted: {line}") };
        assert_eq!((inputs.flags["insecure-http"].as_str(), inputs.dev), (value, true));
    }
}

#[test]
fn policies_are_checked_where_one_says_or_the_settings_do() {
    let Ok(Command::Policy(crate::cli::policy::Task::Check(dir, Output::Json, inputs))) =
        parsed("catalyst policy check somewhere --policy-dir elsewhere --output json")
    else {
        panic!("a check is wanted")
    };
    assert_eq!((dir, inputs.flags["policy-dir"].as_str()), (Some("somewhere".into()), "elsewhere"));
    let export = parsed("catalyst policy export there");
    assert!(
        matches!(export, Ok(Command::Policy(crate::cli::policy::Task::Export(dir))) if dir.as_os_str() == "there")
    );
    for line in ["catalyst policy", "catalyst policy export", "catalyst policy check a b"] {
        assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
    }
}

#[test]
fn wrong_usage_is_an_error_and_help_is_not() {
    for line in ["catalyst", "catalyst sevre", "catalyst serve --nonsense", "catalyst config --output xml"] {
        assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
    }
    for line in ["catalyst serve --help", "catalyst --version"] {
        assert!(!parsed(line).unwrap_err().use_stderr(), "{line}");
    }
}

const ID: &str = "spiffe://td/gateway/gateway-a";

#[test]
fn a_certificate_is_asked_for_by_its_identity() {
    let line = format!("catalyst pki cert generate --spiffe-id {ID} --output-cert c --output-key k");
    let (_, Request::Cert(CertRequest::Generate(wanted)), _) = asked(&line) else { panic!("{line}") };
    assert_eq!((wanted.workload.instance_id().as_str(), wanted.curve), ("gateway-a", Curve::P384));
    assert_eq!((wanted.ttl, wanted.force), (None, false));
    let line = format!("{line} --common-name gateway-a --ttl-hours 24 --key-type p256 --force");
    let (_, Request::Cert(CertRequest::Generate(wanted)), _) = asked(&line) else { panic!("{line}") };
    assert_eq!((wanted.ttl, wanted.curve), (Some(crate::identity::Ttl::MAX), Curve::P256));
    for wrong in
        ["--common-name other", "--ttl-hours 0", "--ttl-hours 25", "--ttl-hours 1.5", "--key-type rsa"]
    {
        let line =
            format!("catalyst pki cert generate --spiffe-id {ID} --output-cert c --output-key k {wrong}");
        assert!(parsed(&line).unwrap_err().use_stderr(), "{line}");
    }
    let both =
        format!("catalyst pki cert generate --common-name b --spiffe-id {ID} --output-cert c --output-key k");
    let error = parsed(&both).unwrap_err().to_string();
    assert!(error.contains("'b'") && error.contains("'gateway-a'"), "{error}");
}

#[test]
fn a_certificate_is_named_in_every_form_that_tools_print() {
    let (serial, fingerprint) = ("1f".repeat(16), "AB:".repeat(31) + "AB");
    for (given, sent) in [
        (serial.clone(), serial.clone()),
        ("1F:".repeat(15) + "1F", serial),
        (fingerprint, "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s".into()),
        (
            "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=".into(),
            "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s".into(),
        ),
    ] {
        let (_, Request::Cert(CertRequest::Show(name)), _) =
            asked(&format!("catalyst pki cert show {given}"))
        else {
            panic!("{given}")
        };
        assert_eq!(name, sent);
    }
    let error = parsed("catalyst pki cert show 12").unwrap_err().to_string();
    assert!(error.contains("openssl x509"), "{error}");
}

#[test]
fn identities_that_are_none_are_refused_before_anybody_is_asked() {
    for id in [
        "node-a",
        "spiffe://td/node",
        "spiffe://td/node/A",
        "spiffe://td/other/a",
        "spiffe://td/node/a;id",
        "spiffe://td/node/ä",
    ] {
        for line in [
            format!("catalyst pki identity deny {id} --reason r"),
            format!("catalyst pki identity allow {id}"),
            format!("catalyst pki cert generate --spiffe-id {id} --output-cert c --output-key k"),
        ] {
            assert!(parsed(&line).unwrap_err().use_stderr(), "{line}");
        }
    }
    for line in [format!("catalyst pki identity deny {ID}"), "catalyst pki identity release A".into()] {
        assert!(parsed(&line).unwrap_err().use_stderr(), "{line}");
    }
    assert!(matches!(
        asked(&format!("catalyst pki identity deny {ID} --reason r --compromised --yes")).1,
        Request::Identity(IdentityRequest::Deny { compromised: true, yes: true, .. })
    ));
}
