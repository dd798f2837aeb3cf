//! What `--help` says, of every command: `tests/golden/help.txt` holds it, so that each change of it is seen and meant.

use catalyst_rigs::catalyst;
use std::{env, fs, path::Path, process::Command};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/help.txt");

fn help(command: &[String]) -> String {
    let output = Command::new(catalyst().unwrap()).args(command).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names under `Commands:`.
fn inner(help: &str) -> Vec<&str> {
    let listed = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let listed = listed.split("\n\n").next().unwrap_or_default();
    // The text of a long line goes on further in.
    let named = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named.filter_map(|line| line.split_whitespace().next()).collect()
}

/// The help of a command and of all that it holds.
fn collect(command: &[String], all: &mut String) {
    let help = help(command);
    all.push_str(&format!("$ catalyst {}\n{help}\n", [command, &["--help".to_owned()]].concat().join(" ")));
    for name in inner(&help) {
        collect(&[command, &[name.to_owned()]].concat(), all);
    }
}

#[test]
fn the_help_of_every_command_is_what_was_read_and_found_good() {
    let mut all = String::new();
    collect(&[], &mut all);
    assert!(all.matches("\n$ catalyst ").count() > 40, "commands are missing:\n{all}");
    if env::var_os("CATALYST_WRITE_GOLDEN").is_some() {
        fs::write(GOLDEN, &all).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap_or_default();
    if golden == all {
        return;
    }
    let differing = golden.lines().zip(all.lines()).find(|(golden, now)| golden != now);
    panic!(
        "{} is no longer what --help says, first at {differing:?}; read the change, then write it: \
         CATALYST_WRITE_GOLDEN=1 cargo nextest run --test e2e help",
        Path::new(GOLDEN).display()
    );
}

/// A terminal that is narrow, as on a phone or beside an editor. What is typed as it stands is not broken: the usage,
/// and the examples.
#[test]
fn help_can_be_read_in_forty_columns() {
    // The terminal of `script` has no size, which is none to measure by.
    let command =
        format!("stty rows 24 cols 40; '{}' pki cert generate --help", catalyst().unwrap().display());
    let output =
        Command::new("script").args(["-qec", &command, "/dev/null"]).env("NO_COLOR", "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let (options, _) = text.split_once("\nOptions:\n").unwrap().1.split_once("\nExamples:\n").unwrap();
    assert!(options.contains("--output-key") && options.contains("--root-fingerprint"), "{text}");
    let wide: Vec<_> = options.lines().filter(|line| line.chars().count() > 40).collect();
    assert!(wide.is_empty(), "{wide:?}");
}
