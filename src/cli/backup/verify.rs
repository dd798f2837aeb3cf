//! `catalyst backup verify` and `inspect`

use super::{
    super::{
        arguments::{Access, Output},
        exit::{self, FAILED, KEYS_UNREACHED, NOT_AUTHORISED, UNSIGNED},
        output::{self, columns, json, ok, print, verdict},
    },
    Key, Stores, Trouble, Whose, lines,
    lists::{header, header_facts, header_json},
    progress::Progress,
    report,
};
use crate::{
    backup::{
        BackupError, KeyCheck, KeyFinding, Manifest, Opened, Signer, Trust, Unwatched, Verification,
        check_keys, inspect, verify,
    },
    client::printable,
    key_stores::Kinds,
    settings::{Environment, Inputs, Settings, Table},
};
use serde_json::{Value, json};
use std::{env, path::PathBuf, process::ExitCode};

/// A backup that is to be checked.
#[derive(Debug)]
pub(in crate::cli) struct Verify {
    pub(in crate::cli) file: PathBuf,
    pub(in crate::cli) key: Key,
    pub(in crate::cli) whose: Whose,
    pub(in crate::cli) keys_unchecked: bool,
    pub(in crate::cli) work_dir: Option<PathBuf>,
    /// The service that is told of it.
    pub(in crate::cli) report: Option<Access>,
    pub(in crate::cli) inputs: Inputs,
}

impl Verify {
    pub(super) fn run(mut self, kinds: &Kinds, table: &Table, form: Output) -> Result<ExitCode, Trouble> {
        let settings = Settings::read_for_backup(table, &self.inputs)?;
        let environment = &self.inputs.environment;
        let trust = self.whose.needed(environment)?;
        let root = match trust {
            Trust::Root(root) => Some(root),
            Trust::FirstUse => None,
        };
        let service = match self.report.take().map(|access| report::service(access, root)).transpose() {
            Ok(service) => service,
            Err(error) => return Ok(exit::report(&error)),
        };
        let identities = self.key.open(environment)?.ok_or_else(|| {
            BackupError::Usage(
                "nothing opens the backup: give --identity or --passphrase, or look at --header-only".into(),
            )
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let progress = Progress::new(&runtime)?;
        let work_dir = self.work_dir(&settings);
        let verified = verify(&self.file, &identities, trust, &work_dir, &progress);
        let mut verified = progress.outcome(verified)?;
        // What anybody may have made says nothing to our key stores.
        if verified.opened.signer.is_some() && !self.keys_unchecked {
            let mut stores = Stores::new(kinds, settings);
            // The files that are in the backup, not those of this machine.
            stores.settings.local_keys = verified.key_dir();
            let checked = runtime.block_on(progress.or_stopped(keys(&stores, &verified, &progress)));
            stores.let_go(&runtime);
            verified.keys = checked?;
        }
        let shown = self.show(&verified, trust, form)?;
        let Some(service) = service.filter(|_| Found::of(&verified) == Found::Good) else {
            runtime.shutdown_background();
            return Ok(shown);
        };
        let reported = runtime.block_on(report::report(service, &verified.opened));
        runtime.shutdown_background();
        Ok(reported.map_or_else(|error| exit::report(&error), |()| shown))
    }

    fn work_dir(&self, settings: &Settings) -> PathBuf {
        match &self.work_dir {
            Some(given) => given.clone(),
            None if settings.certs_db.exists() => settings.data_dir.clone(),
            None => env::temp_dir(),
        }
    }

    fn show(&self, verified: &Verification, trust: Trust, form: Output) -> Result<ExitCode, Trouble> {
        let found = Found::of(verified);
        let printed = print(&match form {
            Output::Json => json(&verification_json(verified, found, trust))?,
            Output::Text | Output::Markdown => text(&self.file.display().to_string(), verified, found),
        });
        tell_problems(verified);
        warn_of(&verified.opened, Some(trust));
        Ok(match found {
            Found::Good => printed,
            Found::Bad => ExitCode::from(FAILED),
            Found::Unsigned => ExitCode::from(UNSIGNED),
            Found::KeysRefused => ExitCode::from(NOT_AUTHORISED),
            Found::KeysUnreached => ExitCode::from(KEYS_UNREACHED),
        })
    }
}

pub(super) fn tell_problems(verified: &Verification) {
    verified.problems.iter().for_each(|problem| output::error(problem));
    for check in &verified.keys {
        match &check.finding {
            KeyFinding::Differs(how) | KeyFinding::Refused(how) => {
                output::error(&format!("{}: {how}", check.pin.key_uri));
            }
            KeyFinding::Unreachable(why) => output::warn(&format!("{}: {why}", check.pin.key_uri)),
            KeyFinding::Matches | KeyFinding::Unchecked => {}
        }
    }
}

pub(super) async fn keys(stores: &Stores, verified: &Verification, progress: &Progress) -> Vec<KeyCheck> {
    let open = |name: &str| stores.open(name);
    let lies_in_file = |name: &str, uri: &str| stores.lies_in_file(name, uri);
    let (manifest, facts) = (&verified.opened.manifest, &verified.facts);
    let mut checks = check_keys(manifest, facts, &open, &lies_in_file, progress).await;
    // Where they lie meanwhile is gone by the time that somebody reads it.
    let meanwhile = verified.key_dir().display().to_string();
    for check in &mut checks {
        match &mut check.finding {
            KeyFinding::Differs(why) | KeyFinding::Refused(why) | KeyFinding::Unreachable(why) => {
                *why = why.replace(&meanwhile, "keys");
            }
            KeyFinding::Matches | KeyFinding::Unchecked => {}
        }
    }
    checks
}

/// What a verification comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Good,
    Bad,
    Unsigned,
    KeysRefused,
    KeysUnreached,
}

impl Found {
    fn of(verified: &Verification) -> Self {
        let any = |is: fn(&KeyFinding) -> bool| verified.keys.iter().any(|check| is(&check.finding));
        if !verified.problems.is_empty() || any(|finding| matches!(finding, KeyFinding::Differs(_))) {
            Self::Bad
        } else if verified.opened.signer.is_none() {
            Self::Unsigned
        } else if any(|finding| matches!(finding, KeyFinding::Refused(_))) {
            Self::KeysRefused
        } else if any(|finding| matches!(finding, KeyFinding::Unreachable(_))) {
            Self::KeysUnreached
        } else {
            Self::Good
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Good => "Backup is whole and verified",
            Self::Bad => "Backup does not hold",
            Self::Unsigned => "Backup is whole, and nothing vouches for it",
            Self::KeysRefused => "Backup is whole, and its keys do not open with this passphrase or PIN",
            Self::KeysUnreached => "Backup is whole, and not all keys could be asked for",
        }
    }
}

/// A backup whose manifest is to be shown.
#[derive(Debug)]
pub(in crate::cli) struct Inspect {
    pub(in crate::cli) file: PathBuf,
    pub(in crate::cli) key: Key,
    pub(in crate::cli) whose: Whose,
    pub(in crate::cli) environment: Environment,
}

impl Inspect {
    pub(super) fn run(&self, form: Output) -> Result<ExitCode, Trouble> {
        let Some(identities) = self.key.open(&self.environment)? else {
            return header(&self.file, form);
        };
        let trust = self.whose.trust(&self.environment)?;
        let opened = inspect(&self.file, &identities, trust.unwrap_or(Trust::FirstUse), &Unwatched)?;
        let file = self.file.display().to_string();
        let printed = match form {
            Output::Json => json(&json!({
                "file": file, "header": header_json(&opened.header), "signer": opened.signer.as_ref().map(signer_json),
                "trust": trust_word(trust.unwrap_or(Trust::FirstUse)), "manifest": opened.manifest,
            }))?,
            Output::Text | Output::Markdown => {
                format!("Backup {}\n{}{}", printable(&file), lines(&facts(&opened)), tables(&opened.manifest))
            }
        };
        let printed = print(&printed);
        warn_of(&opened, trust);
        Ok(printed)
    }
}

/// What every reader says of a backup that anybody may have made.
pub(super) fn warn_of(opened: &Opened, trust: Option<Trust>) {
    match (&opened.signer, trust) {
        (None, _) => {
            output::warn("the backup is unsigned: nothing shows who has made it, or whether it was altered")
        }
        (Some(_), Some(Trust::Root(_))) => {}
        (Some(signer), _) => output::warn(&format!(
            "it was signed under the root {}, and nothing was given to compare that with: whoever knows your recipients could have made it",
            signer.root
        )),
    }
}

fn text(file: &str, verified: &Verification, found: Found) -> String {
    let word = match found {
        Found::Good => ok(),
        Found::KeysRefused => verdict("[keys refused]", false),
        Found::KeysUnreached => verdict("[keys unreached]", false),
        Found::Unsigned => verdict("[unsigned]", false),
        Found::Bad => verdict("[failed]", false),
    };
    let cells: Vec<_> = verified.keys.iter().map(key_row).collect();
    let keys = columns(["KEY", "KEY STORE", "KEY URI", "FOUND"], &cells);
    let opened = &verified.opened;
    format!(
        "{word} {}: {}\n{}{}\n{keys}",
        found.sentence(),
        printable(file),
        lines(&facts(opened)),
        tables(&opened.manifest)
    )
}

fn facts(opened: &Opened) -> Vec<(&'static str, String)> {
    let (manifest, store) = (&opened.manifest, &opened.manifest.store);
    let signed = opened.signer.as_ref().map_or("nobody".to_owned(), |signer| {
        format!("{} ({}), under root {}", signer.common_name, signer.certificate, signer.root)
    });
    let certificates = store.rows.get("certificate_record").copied().unwrap_or_default();
    let mut facts = header_facts(&opened.header);
    facts.extend([
        ("Created", format!("{} by version {}", manifest.created_at, manifest.program)),
        ("Deployment", format!("{} ({})", store.deployment, store.trust_domain)),
        ("Signed by", signed),
        ("Schema", store.schema.to_string()),
        ("Certificates", certificates.to_string()),
        ("Audit head", format!("record {}, {}", store.audit.seq, store.audit.hash)),
        ("Bundle", format!("version {}, SPIFFE sequence {}", store.bundle_version, store.spiffe_sequence)),
        ("Key files", manifest.parts.iter().filter(|part| part.key_uri.is_some()).count().to_string()),
    ]);
    facts
}

/// The CAs, as `SELECT fingerprint, common_name, type FROM certificate WHERE type LIKE '%ca%'` shows them.
fn tables(manifest: &Manifest) -> String {
    let row = |ca: &crate::backup::CaEntry| {
        let expires = ca.expires_at.to_string();
        [ca.fingerprint.to_string(), ca.common_name.clone(), ca.role.certificate_type().to_owned(), expires]
    };
    let cells: Vec<_> = manifest.store.cas.iter().map(row).collect();
    format!("\n{}", columns(["FINGERPRINT", "COMMON NAME", "TYPE", "EXPIRES"], &cells))
}

fn key_row(check: &KeyCheck) -> [String; 4] {
    let pin = &check.pin;
    [
        format!("{}-{}", pin.role, pin.generation),
        pin.key_store.clone(),
        pin.key_uri.clone(),
        found_word(&check.finding).to_owned(),
    ]
}

fn found_word(finding: &KeyFinding) -> &'static str {
    match finding {
        KeyFinding::Matches => "matches",
        KeyFinding::Refused(_) => "refused",
        KeyFinding::Unreachable(_) => "unreachable",
        KeyFinding::Differs(_) => "differs",
        KeyFinding::Unchecked => "unchecked",
    }
}

pub(super) fn signer_json(signer: &Signer) -> Value {
    json!({
        "commonName": signer.common_name, "fingerprint": signer.certificate.to_string(),
        "rootFingerprint": signer.root.to_string(),
    })
}

fn trust_word(trust: Trust) -> &'static str {
    match trust {
        Trust::Root(_) => "root-fingerprint",
        Trust::FirstUse => "first-use",
    }
}

fn verification_json(verified: &Verification, found: Found, trust: Trust) -> Value {
    let opened = &verified.opened;
    let key = |check: &KeyCheck| {
        let reason = match &check.finding {
            KeyFinding::Unreachable(why) | KeyFinding::Refused(why) | KeyFinding::Differs(why) => Some(why),
            KeyFinding::Matches | KeyFinding::Unchecked => None,
        };
        json!({
            "role": check.pin.role.to_string(), "generation": check.pin.generation, "keyStore": check.pin.key_store,
            "keyUri": check.pin.key_uri, "finding": found_word(&check.finding), "reason": reason,
        })
    };
    json!({
        "verified": found == Found::Good, "trust": trust_word(trust),
        "signer": opened.signer.as_ref().map(signer_json), "problems": verified.problems,
        "keys": verified.keys.iter().map(key).collect::<Vec<_>>(), "header": header_json(&opened.header),
        "manifest": opened.manifest,
    })
}
