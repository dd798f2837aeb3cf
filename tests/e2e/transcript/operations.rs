//! The operations guide: each of its chapters on a machine of its own.

use super::{
    differences, read,
    steps::{Chapter, chapters},
    terminal::Terminal,
};
use catalyst_rigs::catalyst;
use std::{fs, path::Path, process::Command};

const PAGE: &str = "operations.md";

fn chapter(page: &str, title: &str) -> Chapter {
    let found = chapters(&read(page)).into_iter().find(|chapter| chapter.title == title);
    found.unwrap_or_else(|| panic!("{page} has no chapter '{title}'"))
}

/// The chapters to be typed for this one, in their order: it is the last. Those of other pages go by `page: title`.
fn with_what_comes_before(page: &str, title: &str) -> Vec<Chapter> {
    let last = chapter(page, title);
    let before = last.after.as_deref().map(|before| {
        before.split_once(".md: ").map_or_else(
            || with_what_comes_before(page, before),
            |(page, title)| with_what_comes_before(&format!("{page}.md"), title),
        )
    });
    before.into_iter().flatten().chain([last]).collect()
}

fn follow(page: &str, title: &str) {
    let chapters = with_what_comes_before(page, title);
    let key_store = chapters.iter().find_map(|chapter| chapter.with.as_deref()).unwrap_or("key files");
    let terminal = Terminal::on_a_machine(key_store);
    for chapter in &chapters {
        let differing = differences(&terminal, &chapter.steps, "2>&1");
        let log = terminal.log();
        let title = &chapter.title;
        assert!(differing.is_empty(), "{log}\n\n'{title}' differs:\n\n{}", differing.join("\n\n"));
    }
}

/// Chapters whose commands are run, each by a test; and a test that there are no others.
macro_rules! followed {
    ($($name:ident: $title:literal,)+) => {
        $(#[test] fn $name() { follow(PAGE, $title); })+

        #[test]
        fn every_chapter_with_commands_has_a_test() {
            let page = chapters(&read(PAGE));
            let with_commands = page.iter().filter(|chapter| !chapter.steps.is_empty());
            assert_eq!(with_commands.map(|chapter| chapter.title.as_str()).collect::<Vec<_>>(), [$($title),+]);
        }
    };
}

followed! {
    the_machine_is_set_up: "Set up: the machine",
    the_keys_are_files: "Set up: key files",
    the_keys_are_in_an_hsm: "Set up: an HSM",
    the_keys_are_in_aws_kms: "Set up: AWS KMS",
    the_keys_are_in_google_cloud_kms: "Set up: Google Cloud KMS",
    the_hierarchy_is_made: "Set up: the hierarchy",
    a_node_joins_and_renews: "A new node",
    people_and_programs_get_tokens: "A token for a person or a program",
    an_identity_was_compromised: "A compromised identity",
    a_ca_was_compromised: "A compromised CA",
    tokens_are_stolen_and_lost: "A stolen token, a lost token",
    an_intermediate_ca_is_replaced: "A new intermediate CA",
    somebody_looks_at_a_certificate: "Looking at a certificate",
    everything_lies_in_its_place: "What lies where",
    backups_are_made_and_verified: "Backups",
    a_lost_disk_is_restored: "Restore: the disk is gone",
    others_get_an_export: "An export for others",
    somebody_looks_after_it: "What to watch",
}

#[test]
fn a_certificate_renews_by_a_jwt_as_its_page_shows() {
    follow("api.md", "Renewal");
}

#[test]
fn the_audit_log_is_verified_as_its_page_shows() {
    follow("audit.md", "Whether it is whole");
}

#[test]
fn every_block_of_the_guide_is_one_that_is_run() {
    let page = read(PAGE);
    let opened = page.lines().filter(|line| line.starts_with("```")).step_by(2);
    let others: Vec<&str> = opened.filter(|fence| *fence != "```console").collect();
    assert!(
        others.is_empty(),
        "{others:?}: nobody runs these; show what is typed as console, and tell the rest"
    );
}

/// What stands between backticks outside blocks.
fn quoted(page: &str) -> Vec<&str> {
    let prose = page.split("\n```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_command_that_the_guide_names_is_one_of_the_program() {
    let page = read(PAGE);
    for named in quoted(&page).into_iter().filter_map(|quoted| quoted.strip_prefix("catalyst ")) {
        let words =
            named.split_whitespace().take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
        let words: Vec<&str> = words.collect();
        let output = Command::new(catalyst().unwrap()).args(&words).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{named}");
        for flag in named.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "{named}: {flag} is not in its help");
        }
    }
}

/// The program's sources as one text, in which a string that goes on in the next line is whole.
fn sources() -> String {
    fn add(directory: &Path, all: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for line in text.lines().map(str::trim_start) {
                    all.push_str(line.strip_suffix('\\').unwrap_or(line));
                }
            }
        }
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    for directory in ["src", "backends"] {
        add(&root.join(directory), &mut all);
    }
    all
}

/// What somebody looks for by its words must be what the program says.
#[test]
fn the_words_of_every_symptom_are_the_programs() {
    let (page, sources) = (read(PAGE), sources());
    let (_, symptoms) = page.split_once("\n## What to watch\n").unwrap();
    let cells = symptoms.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let words: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(words.len() > 50, "{words:?}");
    // The sources have the names of metrics with dots.
    let says = |part: &str| {
        sources.contains(part) || sources.contains(&part.replacen("catalyst_pki_", "catalyst.pki.", 1))
    };
    let unknown: Vec<&&str> =
        words.iter().filter(|words| !words.split('…').all(|part| says(part.trim()))).collect();
    assert!(unknown.is_empty(), "the program says none of these: {unknown:?}");
}

#[test]
fn the_unit_file_is_one_that_systemd_takes() {
    let unit = read("deploy/catalyst.service");
    assert!(unit.contains("\nExecStart=/usr/local/bin/catalyst serve "), "{unit}");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        // Where there is no systemd, there is nobody to ask.
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("catalyst.service");
    let binary = fs::canonicalize(catalyst().unwrap()).unwrap().display().to_string();
    fs::write(&path, unit.replace("/usr/local/bin/catalyst", &binary)).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
