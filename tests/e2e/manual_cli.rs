//! What the command line says about itself: help, manual pages, completions. None of it needs a service.

use std::{fs, process::Command, process::Output};
use tempfile::TempDir;

fn catalyst(directory: &TempDir, args: &[&str], columns: &str) -> Output {
    let mut command = Command::new(catalyst_rigs::catalyst().unwrap());
    command.args(args).current_dir(directory.path()).env_clear().env("COLUMNS", columns).output().unwrap()
}

fn printed(directory: &TempDir, args: &[&str], columns: &str) -> String {
    let output = catalyst(directory, args, columns);
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_has_a_page_and_help_for_a_newcomer() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("man")).unwrap();
    printed(&directory, &["man", "--output-dir", "man"], "80");
    let mut pages: Vec<_> = fs::read_dir(directory.path().join("man"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert!(pages.len() > 30 && pages.contains(&"catalyst-pki-cert-sign-csr.1".into()), "{pages:?}");
    let first = fs::read_to_string(directory.path().join("man/catalyst-pki-cert-generate.1")).unwrap();
    assert!(first.contains(".TH catalyst-pki-cert-generate 1") && first.contains("output\\-key"), "{first}");
    // The words of a name are joined by what words may hold, so its command is looked for in the grammar.
    for words in [
        vec!["pki", "init"],
        vec!["pki", "status"],
        vec!["pki", "ca", "create-intermediary"],
        vec!["pki", "ca", "list"],
        vec!["pki", "ca", "bundle"],
        vec!["pki", "ca", "activate"],
        vec!["pki", "ca", "retire"],
        vec!["pki", "ca", "revoke"],
        vec!["pki", "ca", "repin"],
        vec!["pki", "keys", "reconcile"],
        vec!["pki", "cert", "generate"],
        vec!["pki", "cert", "sign-csr"],
        vec!["pki", "cert", "list"],
        vec!["pki", "cert", "show"],
        vec!["pki", "cert", "export"],
        vec!["pki", "cert", "revoke"],
        vec!["pki", "identity", "deny"],
        vec!["pki", "identity", "allow"],
        vec!["pki", "identity", "release"],
        vec!["auth", "token", "mint"],
        vec!["backend", "check"],
        vec!["backend", "retry"],
        vec!["completions"],
        vec!["man"],
        vec!["serve"],
    ] {
        assert!(pages.contains(&format!("catalyst-{}.1", words.join("-"))), "{words:?}");
        for columns in ["40", "100"] {
            let help = printed(&directory, &[words.as_slice(), &["--help"]].concat(), columns);
            assert!(help.contains("Usage: catalyst ") && help.contains("\nExamples:\n"), "{help}");
            assert!(!help.contains('\u{1b}') && !help.contains('`'), "{help}");
        }
    }
}

#[test]
fn pages_that_are_there_are_kept_unless_force_is_given() {
    let directory = TempDir::new().unwrap();
    let page = directory.path().join("catalyst-version.1");
    fs::write(&page, "mine").unwrap();
    let output = catalyst(&directory, &["man", "--output-dir", "."], "80");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("catalyst-version.1"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "all or nothing");
    printed(&directory, &["man", "--output-dir", ".", "--force"], "80");
    assert!(fs::read_to_string(&page).unwrap().contains(".TH catalyst-version 1"));
    let output = catalyst(&directory, &["man", "--output-dir", "absent"], "80");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_main_page_is_a_manual_page() {
    let page = printed(&TempDir::new().unwrap(), &["man"], "80");
    assert!(page.starts_with(".ie ") || page.starts_with(".TH "), "{page}");
    assert!(page.contains(".TH catalyst 1"));
}

#[test]
fn every_shell_has_a_script_and_bash_takes_its_own() {
    let directory = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&directory, &["completions", shell], "80");
        assert!(script.contains("sign-csr"), "{shell}");
        fs::write(directory.path().join(shell), script).unwrap();
    }
    let checked = Command::new("bash").args(["-n", "bash"]).current_dir(directory.path()).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    assert_eq!(catalyst(&directory, &["completions", "tcsh"], "80").status.code(), Some(2));
}

#[test]
fn a_passphrase_has_a_form_for_programs() {
    let shown = printed(&TempDir::new().unwrap(), &["passphrase", "new", "--output", "json"], "80");
    let fields: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert!(fields["passphrase"].as_str().unwrap().len() >= 43);
}
