//! The commands of `softhsm/README.md`, as their reader would type them, in a fresh clone.

use crate::readme::{Terminal, bash, ca_keys, clone_into, only_block, without_sudo, wrapped_cargo};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// A command whose service takes a free port: the one that it would take may be another test's.
fn shell(script: &str, clone: &Path, bin: &Path) -> Command {
    let mut command = bash(script, clone, bin);
    command.env("CATALYST_PKI_LISTEN", "127.0.0.1:0");
    command
}

#[test]
fn softhsm_is_tried_as_its_readme_prints_it() {
    let scratch = TempDir::new().unwrap();
    let (clone, bin) = (clone_into(scratch.path()), wrapped_cargo(scratch.path()));
    without_sudo(&bin, "apt-get install softhsm2");
    let readme = fs::read_to_string(clone.join("softhsm/README.md")).unwrap();
    let lines = only_block(&readme);
    let serve = lines.iter().position(|line| line.contains(" -- serve ")).unwrap();

    let check = shell(&lines[..serve].join("\n"), &clone, &bin).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(check.stdout).unwrap(), String::from_utf8_lossy(&check.stderr));
    assert!(check.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("[ok] Key store pkcs11"), "{stdout}{stderr}");

    // "The same command in another shell takes the same token."
    let token = lines.iter().find(|line| line.contains("softhsm/token")).unwrap();
    let log = scratch.path().join("log");
    let service = Terminal::serving(shell(&format!("{token}\n{}", lines[serve]), &clone, &bin), &log);
    let shown = fs::read_to_string(&log).unwrap();
    let keys = ca_keys(&shown);
    assert!(keys.iter().all(|uri| uri.starts_with("pkcs11:serial=")), "{keys:?}");

    let slots = shell(&format!("{token}\n{}", lines[serve + 1..].join("\n")), &clone, &bin).output().unwrap();
    let slots = String::from_utf8(slots.stdout).unwrap();
    assert!(slots.contains("Label:            catalyst"), "{slots}");
    drop(service);
    // Nothing but the trial's directory has changed in the home directory, which is the clone here, but what git ignores.
    let changed = Command::new("git").args(["status", "--porcelain"]).current_dir(&clone).output().unwrap();
    assert_eq!(String::from_utf8(changed.stdout).unwrap(), "?? softhsm-trial/\n");
    assert!(clone.join("softhsm-trial/pin").is_file() && clone.join("softhsm-trial/tokens").is_dir());
}
