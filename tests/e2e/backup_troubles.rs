//! What goes wrong while a backup is made, and what it asks for at a terminal.

use crate::{
    backup::{Kept, done, names, run},
    deployment::Holder,
};
use catalyst_rigs::catalyst;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    thread,
};

const PROMPTS: [&str; 2] = ["Passphrase of the backup: ", "The same once more: "];

/// Types into a terminal, in which the command runs that `script` is given; answers what stood there afterwards.
fn at_terminal(kept: &Kept, command: &str, typed: &str) -> String {
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{}' backup {command}", catalyst().unwrap().display()), "/dev/null"]);
    script.current_dir(kept.backups()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    script.env("CATALYST_PKI_CERTS_DB", kept.deployment.data_dir().join("certs.db"));
    script.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", kept.deployment.beside("passphrase"));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut lines) = (Vec::new(), typed.lines());
    let mut octet = [0];
    while screen.read(&mut octet).unwrap() > 0 {
        shown.push(octet[0]);
        // Each line when it is asked for.
        if PROMPTS.iter().any(|prompt| shown.ends_with(prompt.as_bytes()))
            && let Some(line) = lines.next()
        {
            keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }
    child.wait().unwrap();
    String::from_utf8(shown).unwrap()
}

#[test]
fn a_passphrase_is_asked_for_and_not_shown_and_no_backup_goes_to_a_terminal() {
    let kept = Kept::new();
    let (service, _) = kept.deployment.initialized();
    let twice = "create --passphrase --output asked.age";
    let said = at_terminal(&kept, twice, "a passphrase that is typed\na passphrase that is typed\n");
    assert!(said.contains("Passphrase of the backup: ") && said.contains("The same once more: "), "{said}");
    assert!(said.contains("Backup written") && !said.contains("is typed"), "{said}");
    let once = "verify asked.age --passphrase --trust-on-first-use";
    let said = at_terminal(&kept, once, "a passphrase that is typed\n");
    assert!(said.contains("Backup is whole and verified") && !said.contains("is typed"), "{said}");
    let said = at_terminal(
        &kept,
        "create --passphrase --output b.age",
        "one passphrase of them\nanother of the two\n",
    );
    assert!(said.contains("the two passphrases differ"), "{said}");
    let said = at_terminal(&kept, &format!("create --recipient {} --to-stdout", kept.recipient), "");
    assert!(said.contains("standard output is a terminal"), "{said}");
    assert_eq!(names(&kept.backups()), ["asked.age"]);
    drop(service);
}

/// At moments that fall into every step of it.
#[test]
fn a_killed_backup_leaves_nothing_that_the_next_one_does_not_remove() {
    let kept = Kept::new();
    let (service, _) = kept.deployment.initialized();
    drop(service);
    for (signal, waits) in
        [(Signal::KILL, [0, 20, 60, 120, 200, 300]), (Signal::TERM, [10, 40, 80, 150, 220, 350])]
    {
        for wait in waits {
            let mut command = kept.create(&["--output", ".", "--force"]);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            thread::sleep(std::time::Duration::from_millis(wait));
            // It may have come to its end before.
            let _ = kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal);
            let output = child.wait_with_output().unwrap();
            if signal == Signal::TERM && output.status.code() == Some(143) {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains("interrupted: nothing was written"), "{said}");
                assert_eq!(kept.left(), Vec::<String>::new());
            }
        }
    }
    done(kept.create(&["--output", ".", "--force"]));
    assert_eq!(kept.left(), Vec::<String>::new());
    let backups = names(&kept.backups());
    assert!(backups.iter().all(|name| name.starts_with("catalyst-")), "{backups:?}");
    for name in backups {
        done(kept.verify(&name, &["--trust-on-first-use"]));
    }
}

/// The disk of the backup is full, or that on which its copy lies.
#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let kept = Kept::new();
    let (service, client) = kept.deployment.initialized();
    Holder::new("gateway", "g.example.org").get(&client);
    let program = catalyst().unwrap();
    let small = kept.deployment.beside("small");
    fs::create_dir(&small).unwrap();
    // The store has more than 128 KiB, the backup more than 12.
    for (size, option) in
        [("4k", "--work-dir"), ("128k", "--work-dir"), ("4k", "--output"), ("12k", "--output")]
    {
        let mount = format!(
            "mount -t tmpfs -o size={size},mode=700 small {0} && \"$@\"; code=$?; ls -A {0}; exit $code",
            small.display()
        );
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", &mount, "sh"]).arg(&program).args([
            "backup",
            "create",
            "--recipient",
            &kept.recipient,
        ]);
        command.arg(option).arg(&small);
        if option != "--output" {
            command.arg("--output").arg(kept.backups().join("full.age"));
        }
        command.env("CATALYST_PKI_CERTS_DB", kept.deployment.data_dir().join("certs.db"));
        command.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", kept.deployment.beside("passphrase"));
        let (code, stdout, stderr) = run(command);
        assert_eq!((code, stdout.as_str()), (1, ""), "{size} {option}: {stderr}");
        assert!(
            stderr.contains("no room in") || stderr.contains("No space left"),
            "{size} {option}: {stderr}"
        );
    }
    // And where what seemed to be free is not, at every length that the copy may come to; in units of 512 octets.
    for blocks in [0, 1, 9, 100, 300] {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &limited, "sh"]).arg(&program).args([
            "backup",
            "create",
            "--recipient",
            &kept.recipient,
        ]);
        command.arg("--output").arg(kept.backups().join("full.age"));
        command.env("CATALYST_PKI_CERTS_DB", kept.deployment.data_dir().join("certs.db"));
        command.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", kept.deployment.beside("passphrase"));
        let (code, stdout, stderr) = run(command);
        assert_eq!((code, stdout.as_str()), (1, ""), "{blocks}: {stderr}");
        assert_eq!(kept.left(), Vec::<String>::new(), "{blocks}");
    }
    assert_eq!((names(&kept.backups()), kept.left()), (Vec::new(), Vec::new()));
    Holder::new("gateway", "h.example.org").get(&client);
    drop(service);
}

/// A directory at which the output ends, a link, a file in another's way.
#[test]
fn places_that_are_none_are_named() {
    let kept = Kept::new();
    let mut file = File::create(kept.backups().join("file")).unwrap();
    file.write_all(b"kept").unwrap();
    std::os::unix::fs::symlink("file", kept.backups().join("link")).unwrap();
    for (place, said) in [
        ("absent/a.age", "no directory"),
        ("absent/", "no directory"),
        ("link", "no file"),
        ("/dev/null", "no file"),
    ] {
        let (code, _, stderr) = run(kept.create(&["--output", place, "--force"]));
        assert_eq!(code, 2, "{place}: {stderr}");
        assert!(stderr.contains(said), "{place}: {stderr}");
    }
    assert_eq!(fs::read(kept.backups().join("file")).unwrap(), b"kept");
}
