//! `catalyst backend check`

use super::super::{
    Failure,
    arguments::Output,
    exit::FAILED,
    fail,
    output::{self, columns, json, ok, print, verdict},
    refuse,
};
use crate::{
    client::printable,
    key_stores::{
        Kinds,
        check::{Examined, Probe, Wanted, examine},
    },
    settings::{Inputs, Settings, SettingsError, Table},
};
use catalyst_signing::{Capability, PIN_MISPLACED, SignatureAlgorithm, conformance::Verdict, holds_pin};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What is to be checked.
#[derive(Debug)]
pub(in crate::cli) struct Check {
    /// A key store; each that a role's setting names unless said.
    pub(in crate::cli) name: Option<String>,
    /// The key that signs.
    pub(in crate::cli) key: Option<String>,
    /// Whether the rules of the signing contract are tried.
    pub(in crate::cli) full: bool,
    pub(in crate::cli) inputs: Inputs,
}

pub(in crate::cli) fn run(kinds: &Kinds, table: &Table, check: &Check, form: Output) -> ExitCode {
    let (settings, names) = match prepare(table, check) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(&error),
    };
    let seen = match look(kinds, &settings, check, &names) {
        Ok(seen) => seen,
        Err(error) => return fail(&*error),
    };
    let printed = print(&match form {
        Output::Json => match json(&as_json(&seen)) {
            Ok(text) => text,
            Err(error) => return fail(&error),
        },
        Output::Text | Output::Markdown => seen.iter().map(as_text).collect::<Vec<_>>().join("\n"),
    });
    for store in &seen {
        store.notes.iter().for_each(|note| output::warn(&format!("{}: {note}", store.name)));
        for problem in &store.problems {
            output::error(&format!("{}: {}", store.name, problem.reason));
        }
    }
    if seen.iter().all(Examined::passed) { printed } else { ExitCode::from(FAILED) }
}

fn prepare(table: &Table, check: &Check) -> Result<(Settings, Vec<String>), SettingsError> {
    if [&check.name, &check.key].into_iter().flatten().any(|typed| holds_pin(typed)) {
        return Err(SettingsError::Together(PIN_MISPLACED.into()));
    }
    let mut settings = Settings::read(table, &check.inputs)?;
    let backends = &settings.key_backends;
    let names = match &check.name {
        Some(name) => vec![name.clone()],
        None => backends.names(),
    };
    if check.key.is_some() && names.len() > 1 {
        return Err(SettingsError::Together(format!(
            "--key names a key of one key store: say which one, as in 'catalyst backend check {}'",
            names[0]
        )));
    }
    if names.iter().any(|name| name == "local") {
        settings.secure_passphrase()?;
    }
    Ok((settings, names))
}

fn look(
    kinds: &Kinds,
    settings: &Settings,
    check: &Check,
    names: &[String],
) -> Result<Vec<Examined>, Failure> {
    let algorithm: SignatureAlgorithm = settings.algorithm.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let seen = runtime.block_on(async {
        let stop = stop_on_signal()?;
        let mut seen = Vec::new();
        for name in names {
            let wanted = Wanted { name: name.clone(), key: check.key.clone(), algorithm, full: check.full };
            seen.push(examine(kinds, settings, &wanted, &stop).await);
        }
        Ok(seen)
    });
    // A call to a key store that does not come back must not hold up the end.
    runtime.shutdown_background();
    seen
}

/// Ctrl-C, a closed terminal and `kill` end the looking; what was made is removed first, unless they come twice.
fn stop_on_signal() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()] {
        let (mut signal, stop) = (signal(kind)?, stop.clone());
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                if stop.is_cancelled() {
                    // Without the clearing up of libraries whose threads are still at work, which would crash.
                    let _ = kill_process(getpid(), Signal::KILL);
                }
                output::hint("a key that is being made is waited for and removed; once more ends at once");
                stop.cancel();
            }
        });
    }
    Ok(stop)
}

fn as_text(seen: &Examined) -> String {
    let word = if seen.passed() { ok() } else { verdict("[failed]", false) };
    let mut text = format!("{word} Key store {}\n", printable(&seen.name));
    for fact in &seen.facts {
        text.push_str(&format!("  {}: {}\n", printable(fact.name), printable(&fact.value)));
    }
    if !seen.capabilities.is_empty() {
        let rows: Vec<_> = seen.capabilities.iter().map(row).collect();
        let table = columns(["ALGORITHM", "MAKES KEYS", "LONGEST MESSAGE"], &rows);
        text.extend(table.lines().map(|line| format!("  {line}\n")));
    }
    if let Some(probe) = &seen.probe {
        text.push_str(&probed(probe));
    }
    if let Some(report) = &seen.conformance {
        text.extend(report.to_string().lines().map(|line| format!("  {}\n", printable(line))));
    }
    text
}

fn row(capability: &Capability) -> [String; 3] {
    [
        capability.algorithm.to_string(),
        if capability.creates { "yes" } else { "no" }.to_owned(),
        capability.max_message.map_or_else(|| "any".to_owned(), |most| format!("{most} octets")),
    ]
}

fn probed(probe: &Probe) -> String {
    let whose = match (probe.made, probe.left) {
        (true, false) => "made for it and removed",
        (true, true) => "made for it and not removed",
        (false, _) => "as named",
    };
    let [shortest, median] = figures(probe);
    format!(
        "  Probe key: {} ({}, {whose})\n  Opened in {}, signed in {} at least, {} in the middle of {}\n",
        printable(&probe.uri),
        probe.algorithm,
        milliseconds(probe.open),
        milliseconds(shortest),
        milliseconds(median),
        probe.signatures.len()
    )
}

/// The shortest and the median.
fn figures(probe: &Probe) -> [Duration; 2] {
    let of = |index: usize| probe.signatures.get(index).copied().unwrap_or_default();
    [of(0), of(probe.signatures.len() / 2)]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn as_json(seen: &[Examined]) -> Value {
    let stores: Vec<_> = seen.iter().map(store_as_json).collect();
    json!({ "passed": seen.iter().all(Examined::passed), "backends": stores })
}

fn store_as_json(seen: &Examined) -> Value {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let facts: Vec<_> =
        seen.facts.iter().map(|fact| json!({ "name": fact.name, "value": fact.value })).collect();
    let capability = |known: &Capability| {
        json!({
            "algorithm": known.algorithm.name(), "creates": known.creates, "maxMessage": known.max_message,
        })
    };
    let capabilities: Vec<_> = seen.capabilities.iter().map(capability).collect();
    let probe = seen.probe.as_ref().map(|probe| {
        let [shortest, median] = figures(probe);
        json!({
            "key": probe.uri, "algorithm": probe.algorithm.name(), "made": probe.made, "left": probe.left,
            "openMicros": micros(probe.open), "signMicros": { "min": micros(shortest), "median": micros(median) },
            "signatures": probe.signatures.len(),
        })
    });
    let problems: Vec<_> = seen
        .problems
        .iter()
        .map(|problem| json!({ "code": problem.code, "error": problem.reason }))
        .collect();
    let rules = seen.conformance.as_ref().map(|report| {
        let rule = |check: &catalyst_signing::conformance::Check| {
            let (word, detail) = match &check.verdict {
                Verdict::Passed => ("passed", None),
                Verdict::Skipped(why) => ("skipped", Some(why)),
                Verdict::Failed(how) => ("failed", Some(how)),
            };
            json!({ "rule": check.rule, "verdict": word, "detail": detail })
        };
        report.checks.iter().map(rule).collect::<Vec<_>>()
    });
    json!({
        "name": seen.name, "passed": seen.passed(), "facts": facts, "capabilities": capabilities, "probe": probe,
        "notes": seen.notes, "problems": problems, "rules": rules,
    })
}
