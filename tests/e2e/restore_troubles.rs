//! Restores that are killed, find no room, or meet directories of others: one store, or a refusal.

use crate::{
    backup::{done, names, run},
    restore::{Backed, launch, one},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// At moments that fall into every step of it. The unit tests kill it between any two of its moves.
#[test]
fn a_killed_restore_leaves_one_store_and_the_next_goes_on() {
    let backed = Backed::new();
    let data = backed.kept.deployment.data_dir();
    let deployment: String = one(&data, "SELECT id FROM deployment");
    for (signal, waits) in
        [(Signal::KILL, [0, 30, 80, 150, 250, 400]), (Signal::TERM, [10, 50, 110, 200, 320, 500])]
    {
        for wait in waits {
            let mut command = backed.restore(&data, &["--force"]);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(wait));
            // It may have come to its end before.
            let _ = kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal);
            child.wait_with_output().unwrap();
            if !data.join("restore-unfinished").exists() {
                assert_eq!(one::<String>(&data, "SELECT id FROM deployment"), deployment);
                assert!(data.join("keys/services-1.pem").exists());
            }
        }
    }
    done(backed.restore(&data, &["--force"]));
    assert_eq!(backed.kept.left(), Vec::<String>::new());
    drop(backed.kept.deployment.start());
}

/// A directory that a restore was killed in is nobody's to start on, and no new deployment.
#[test]
fn a_half_restored_directory_is_refused_until_it_is_restored_again() {
    let backed = Backed::new();
    let into = backed.beside("elsewhere");
    done(backed.restore(&into, &[]));
    // As it is between the two moves.
    fs::write(into.join("restore-unfinished"), r#"{"aside":null,"was":[]}"#).unwrap();
    fs::remove_file(into.join("certs.db")).unwrap();
    let (status, log) = launch(&backed.kept.deployment, &into).run_to_end().unwrap();
    assert!(
        !status.success() && log.contains("is half restored: run the same 'catalyst backup restore' again"),
        "{log}"
    );
    assert!(!into.join("certs.db").exists());
    let (_, stderr) = done(backed.restore(&into, &[]));
    assert!(stderr.contains("an earlier restore was ended half-way"), "{stderr}");
    drop(launch(&backed.kept.deployment, &into).start().unwrap());
}

/// Whoever runs it, this is not theirs.
fn others(backed: &Backed) -> PathBuf {
    if !rustix::process::geteuid().is_root() {
        return PathBuf::from("/");
    }
    let directory = backed.beside("theirs");
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::chown(&directory, Some(12_345), None).unwrap();
    directory
}

#[test]
fn another_users_directory_is_refused_and_a_wide_one_is_closed() {
    let backed = Backed::new();
    let theirs = others(&backed);
    let (code, _, stderr) = run(backed.restore(&theirs, &[]));
    assert_eq!(code, 2);
    assert!(stderr.contains("belongs to the user with the number"), "{stderr}");
    let wide = backed.beside("wide");
    fs::create_dir(&wide).unwrap();
    fs::set_permissions(&wide, fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        assert_eq!(names(&theirs), [""; 0]);
        fs::write(wide.join("certs.db"), "theirs").unwrap();
        std::os::unix::fs::chown(wide.join("certs.db"), Some(12_345), None).unwrap();
        let (code, _, stderr) = run(backed.restore(&wide, &["--force"]));
        assert!(code == 2 && stderr.contains("certs.db belongs to the user"), "{stderr}");
        fs::remove_file(wide.join("certs.db")).unwrap();
    }
    done(backed.restore(&wide, &[]));
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&wide), 0o700);
    // What others use is not closed to them.
    let shared = backed.beside("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(shared.join("hosts"), "theirs").unwrap();
    let (_, stderr) = done(backed.restore(&shared, &[]));
    assert!(stderr.contains("its mode stays as it is"), "{stderr}");
    assert_eq!((mode(&shared), mode(&shared.join("certs.db"))), (0o755, 0o600));
}

/// Lets another program end by becoming this one, where it is to run and with its variables.
fn end_with(command: &mut Command, program: &Command) {
    command.arg(program.get_program()).args(program.get_args());
    if let Some(directory) = program.get_current_dir() {
        command.current_dir(directory);
    }
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// A file system of its own, of which `$1` is the size and `$2` the place.
const SMALL: &str = r#"mount -t tmpfs -o size=$1,mode=700 small "$2" && shift 2 && into=$1 && shift && "$@"; code=$?; ls -A "$into"; exit $code"#;

#[test]
fn a_disk_without_room_is_told_and_nothing_lies_there() {
    let backed = Backed::new();
    let into = backed.beside("small");
    fs::create_dir(&into).unwrap();
    for size in ["8k", "64k", "200k", "256k", "320k"] {
        let program = backed.restore(&into, &[]);
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", SMALL, "sh", size]).arg(&into).arg(&into);
        end_with(&mut command, &program);
        let (code, stdout, stderr) = run(command);
        if code == 0 {
            assert!(stdout.ends_with("catalyst.lock\ncerts.db\nkeys\n"), "{stdout}");
            continue;
        }
        assert_eq!((code, stdout.as_str()), (1, "catalyst.lock\n"), "{size}: {stderr}");
        assert!(stderr.contains("no room in") || stderr.contains("No space left"), "{size}: {stderr}");
    }
}

#[test]
fn a_full_disk_at_any_step_changes_nothing() {
    let backed = Backed::new();
    let data = backed.kept.deployment.data_dir();
    let before = names(&data);
    // Of every length that a file may come to; in units of 512 octets.
    for blocks in [0, 1, 2, 9, 100, 300, 500] {
        let program = backed.restore(&data, &["--force"]);
        let mut command = Command::new("sh");
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        command.args(["-c", &limited, "sh"]);
        end_with(&mut command, &program);
        let (code, stdout, stderr) = run(command);
        if code == 0 {
            assert!(blocks >= 500, "{blocks}: {stdout}");
            return;
        }
        assert_eq!((code, stdout.as_str()), (1, ""), "{blocks}: {stderr}");
        assert_eq!(names(&data), before, "{blocks}: {stderr}");
    }
    drop(backed.kept.deployment.start());
}
