//! The operator's own program, run after each backup: the one argument is the file's path.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{env, os::unix::ffi::OsStrExt as _, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// So much of what it prints is logged, in octets of each stream.
const PRINTED: usize = 4 * 1024;
/// What it has left running may hold its output open; that is not waited for longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs it to its end, and no longer than `limit`: then it is killed, with all that it has started. It gets the
/// service's environment without the service's own settings, among which secrets are.
///
/// # Errors
/// How it failed, a clause.
pub(super) async fn run(program: &Path, file: &Path, limit: Duration) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).process_group(0);
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"CATALYST_")) {
        command.env_remove(name);
    }
    let child = command.spawn().map_err(|error| format!("it cannot be run: {error}"))?;
    let mut running = Running(child);
    let printed = [
        running.0.stdout.take().map(|stream| tokio::spawn(beginning(stream))),
        running.0.stderr.take().map(|stream| tokio::spawn(beginning(stream))),
    ];
    let ended = timeout(limit, running.0.wait()).await;
    drop(running);
    for (stream, printed) in ["stdout", "stderr"].into_iter().zip(printed) {
        let text = last_words(printed).await;
        if !text.is_empty() {
            tracing::debug!(target: "catalyst.pki", stream, text, "Backup hook printed");
        }
    }
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            Err(format!("it had not ended after {} seconds, and was killed", limit.as_secs_f64().ceil()))
        }
    }
}

/// Whoever gives it up kills it, and what it has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Of one that was waited for nobody knows the number any more, which may be another's by now.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by itself meanwhile.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

/// Reads all, so that nobody waits for room in the pipe, and keeps the beginning.
async fn beginning(mut stream: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(octets @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..octets.min(PRINTED - kept.len())]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

async fn last_words(printed: Option<JoinHandle<String>>) -> String {
    let Some(mut printed) = printed else { return String::new() };
    match timeout(LAST_WORDS, &mut printed).await {
        Ok(text) => text.unwrap_or_default(),
        Err(_) => {
            printed.abort();
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};
    use tempfile::{TempDir, tempdir};

    const LONG: Duration = Duration::from_secs(60);

    fn program(text: &str) -> (TempDir, PathBuf) {
        let place = tempdir().unwrap();
        let path = place.path().join("hook");
        fs::write(&path, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        (place, path)
    }

    #[tokio::test]
    async fn it_gets_the_path_as_its_one_argument_and_no_shell_reads_it() {
        let (place, hook) = program("printf '%s|%s' \"$#\" \"$1\" > said");
        run(&hook, Path::new("/a b; touch c $(d)"), LONG).await.unwrap();
        assert_eq!(fs::read_to_string(place.path().join("said")).unwrap(), "1|/a b; touch c $(d)");
    }

    #[tokio::test]
    async fn how_it_fails_is_told() {
        let (_place, hook) = program("echo no; exit 3");
        assert_eq!(run(&hook, Path::new("/f"), LONG).await.unwrap_err(), "it ended with exit status: 3");
        let error = run(Path::new("/nowhere/hook"), Path::new("/f"), LONG).await.unwrap_err();
        assert!(error.starts_with("it cannot be run: "), "{error}");
    }

    #[tokio::test]
    async fn what_it_prints_never_holds_it_up() {
        let (_place, hook) = program("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2");
        run(&hook, Path::new("/f"), LONG).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_what_it_has_started() {
        let (place, hook) = program("echo $$ > group; sleep 1000 & sleep 1000");
        let error = run(&hook, Path::new("/f"), Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(error, "it had not ended after 1 seconds, and was killed");
        let group = fs::read_to_string(place.path().join("group")).unwrap();
        let group = Pid::from_raw(group.trim().parse().unwrap()).unwrap();
        // Processes that were killed are there until their parent has looked.
        while rustix::process::test_kill_process_group(group).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_it_leaves_running_is_not_waited_for() {
        let (_place, hook) = program("setsid sleep 3 & exit 0");
        run(&hook, Path::new("/f"), LONG).await.unwrap();
    }
}
