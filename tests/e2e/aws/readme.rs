//! The commands of `localstack/README.md`, as their reader would type them, in a fresh clone.

use crate::{
    pki::eventually,
    readme::{Terminal, bash, ca_keys, clone_into, only_block, without_sudo, word_after, wrapped_cargo},
};
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};
use tempfile::TempDir;

/// A reader's cache directory in which LocalStack's environment is the one that `tests/run` has prepared.
fn cache(scratch: &Path) -> std::path::PathBuf {
    let cache = scratch.join("cache");
    fs::create_dir_all(cache.join("catalyst-pki")).unwrap();
    let prepared = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.rigs/localstack");
    symlink(prepared, cache.join("catalyst-pki/localstack")).unwrap();
    cache
}

/// Commands whose service takes a free port: the one that it would take may be another test's.
fn shell(script: &str, clone: &Path, bin: &Path, cache: &Path) -> Command {
    let mut command = bash(script, clone, bin);
    command.env("CATALYST_PKI_LISTEN", "127.0.0.1:0").env("XDG_CACHE_HOME", cache);
    command
}

/// Waits until nobody listens at this LocalStack any more.
fn has_ended(endpoint: &str) {
    let address: std::net::SocketAddr = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    eventually("the end of LocalStack", || std::net::TcpStream::connect(address).is_err().then_some(()));
}

#[test]
fn localstack_is_tried_as_its_readme_prints_it() {
    let scratch = TempDir::new().unwrap();
    let (clone, bin) = (clone_into(scratch.path()), wrapped_cargo(scratch.path()));
    let cache = cache(scratch.path());
    without_sudo(&bin, "apt-get install python3 python3-venv");
    let readme = fs::read_to_string(clone.join("localstack/README.md")).unwrap();
    let lines = only_block(&readme);
    let serve = lines.iter().position(|line| line.contains(" -- serve ")).unwrap();
    let endpoint = "echo \"endpoint $CATALYST_PKI_AWS_ENDPOINT\"";

    // All but the service, which Ctrl-C ends before the last line.
    let [before, after] = [&lines[..serve], &lines[serve + 1..]].map(|lines| lines.join("\n"));
    let script = format!("{before}\n{endpoint}\n{after}");
    let check = shell(&script, &clone, &bin, &cache).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(check.stdout).unwrap(), String::from_utf8_lossy(&check.stderr));
    assert!(check.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("[ok] Key store aws-kms"), "{stdout}{stderr}");
    has_ended(stdout.lines().find_map(|line| line.strip_prefix("endpoint ")).unwrap());

    let log = scratch.path().join("log");
    let script = format!("{before}\n{endpoint}\n{}", lines[serve]);
    let service = Terminal::serving(shell(&script, &clone, &bin, &cache), &log);
    let shown = fs::read_to_string(&log).unwrap();
    let keys = ca_keys(&shown);
    assert!(keys.iter().all(|uri| uri.starts_with("awskms:arn:aws:kms:eu-central-1:")), "{keys:?}");
    drop(service);
    has_ended(&word_after(&shown, "endpoint "));
    // Nothing has changed in the home directory, which is the clone here, but what git ignores.
    let changed = Command::new("git").args(["status", "--porcelain"]).current_dir(&clone).output().unwrap();
    assert_eq!(String::from_utf8(changed.stdout).unwrap(), "");
    assert!(!clone.join("keys").exists(), "a key file was made");
}
