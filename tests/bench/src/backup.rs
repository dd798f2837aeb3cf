//! A backup of a large store, beside SQLite's own copy of it.

use crate::{
    Outcome,
    process::{cpu_of, memory_of},
    requests::{self, TRUST_DOMAIN},
    service::{PASSPHRASE, found},
    table::{Row, Table},
};
use catalyst_rigs::catalyst;
use rusqlite::Connection;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const ROWS: u64 = 1_000_000;
const ROUNDS: usize = 3;

/// What a run took.
struct Took {
    time: Duration,
    cpu: Duration,
    memory: u64,
}

/// Copies, backs up, verifies and restores a store of a million certificates in turn; the quickest of the rounds counts.
pub(crate) fn report(table: &mut Table) -> Outcome {
    let directory = tempfile::tempdir()?;
    let (data, outside) = (directory.path().join("data"), directory.path().join("outside"));
    for path in [&data, &outside] {
        fs::create_dir(path)?;
    }
    let pem = found(&data, &requests::make(1)?)?;
    eprintln!("filling a store with {ROWS} rows");
    crate::filler::fill(&data.join("certs.db"), ROWS, &pem)?;
    let size = fs::metadata(data.join("certs.db"))?.len();
    let recipient = identity(&outside)?;
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let copied = vacuum_into(&data.join("certs.db"), &outside.join("copy.db"))?;
        let create = ["backup", "create", "--force", "--recipient", &recipient, "--output", "a.age"];
        let created = run(&data, &outside, &create)?;
        let check = ["--identity", "identity", "--trust-on-first-use"];
        let verified = run(&data, &outside, &[&["backup", "verify", "a.age"], &check[..]].concat())?;
        let into = ["backup", "restore", "a.age", "--into", "restored"];
        let restored = run(&data, &outside, &[&into, &check[..]].concat())?;
        fs::remove_dir_all(outside.join("restored"))?;
        seen.push([copied, created, verified, restored]);
    }
    let backup = fs::metadata(outside.join("a.age"))?.len();
    table.push(Row::of(format!("store of {ROWS} certificates")).figure(crate::service::megabytes(size)));
    table.push(Row::of("its backup").figure(crate::service::megabytes(backup)));
    let quickest = |which: usize| seen.iter().map(|round| round[which].time).min().unwrap_or_default();
    for (which, what) in
        ["VACUUM INTO", "backup create", "backup verify", "backup restore"].iter().enumerate()
    {
        let ratio = quickest(which).as_secs_f64() / quickest(0).as_secs_f64().max(1e-9);
        let memory = seen.iter().map(|round| round[which].memory).max().unwrap_or_default();
        let figure = match which {
            0 => format!("{:.1} s", quickest(0).as_secs_f64()),
            _ => format!("time × {ratio:.1} of VACUUM INTO, {} at most", crate::service::megabytes(memory)),
        };
        let cpu = seen.iter().map(|round| round[which].cpu).min().unwrap_or_default();
        let target = if which == 1 { "< 100 MB" } else { "" };
        table.push(Row::of(*what).cpu(cpu).figure(figure).target(target));
    }
    Ok(())
}

/// SQLite's own copy, brought to the disk as a backup is.
fn vacuum_into(store: &Path, copy: &Path) -> Outcome<Took> {
    if copy.exists() {
        fs::remove_file(copy)?;
    }
    let connection = Connection::open(store)?;
    let (start, cpu) = (Instant::now(), crate::process::own_cpu());
    connection.execute("VACUUM INTO ?1", [copy.to_str().ok_or("a path that is no text")?])?;
    fs::File::open(copy)?.sync_all()?;
    Ok(Took { time: start.elapsed(), cpu: crate::process::own_cpu().saturating_sub(cpu), memory: 0 })
}

/// Runs a command to its end.
fn run(data: &Path, directory: &Path, args: &[&str]) -> Outcome<Took> {
    let mut command = Command::new(catalyst()?);
    command.args(args).current_dir(directory).stdout(Stdio::null());
    command.env("CATALYST_PKI_CERTS_DB", data.join("certs.db"));
    command.env("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE).env("CATALYST_PKI_TRUST_DOMAIN", TRUST_DOMAIN);
    let start = Instant::now();
    let mut child = command.spawn()?;
    let (mut cpu, mut memory) = (Duration::ZERO, 0);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // It may end between the two; what was seen last is near enough.
        if let (Ok(used), Ok((_, most))) = (cpu_of(child.id()), memory_of(child.id())) {
            (cpu, memory) = (used, most);
        }
        thread::sleep(Duration::from_millis(10));
    };
    if !status.success() {
        return Err(format!("{args:?}: {status}").into());
    }
    Ok(Took { time: start.elapsed(), cpu, memory })
}

/// Makes an identity in this directory; gives its recipient.
fn identity(directory: &Path) -> Outcome<String> {
    let made = Command::new("age-keygen").arg("-o").arg(directory.join("identity")).output()?;
    if !made.status.success() {
        return Err("age-keygen made no identity: install age".into());
    }
    let text = fs::read_to_string(directory.join("identity"))?;
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
    Ok(recipient.ok_or("an identity without a recipient")?.to_owned())
}
