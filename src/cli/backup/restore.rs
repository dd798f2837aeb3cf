//! `catalyst backup restore`

use super::{
    super::{
        arguments::Output,
        exit::{FAILED, KEYS_UNREACHED, NOT_AUTHORISED, UNSIGNED},
        output::{self, json, ok, print_with_files},
    },
    Key, Stores, Trouble, Whose, lines,
    progress::Progress,
    verify::{keys, signer_json, tell_problems, warn_of},
};
use crate::{
    backup::{BackupError, Besides, Ground, InPlace, KeyCheck, KeyFinding, Verification, restore, verify},
    client::printable,
    identity::{Clock as _, SystemClock},
    key_stores::Kinds,
    settings::{Inputs, Settings, Table},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// So many notes are told one by one.
const TOLD: usize = 50;

/// A backup that is to be put back.
#[derive(Debug)]
pub(in crate::cli) struct Restore {
    pub(in crate::cli) file: PathBuf,
    pub(in crate::cli) into: PathBuf,
    pub(in crate::cli) force: bool,
    pub(in crate::cli) key: Key,
    pub(in crate::cli) whose: Whose,
    pub(in crate::cli) unsigned: bool,
    pub(in crate::cli) keys_unchecked: bool,
    pub(in crate::cli) besides: Besides,
    /// Its store is that of `into`.
    pub(in crate::cli) inputs: Inputs,
}

impl Restore {
    pub(super) fn run(&self, kinds: &Kinds, table: &Table, form: Output) -> Result<ExitCode, Trouble> {
        let settings = Settings::read_for_backup(table, &self.inputs)?;
        let environment = &self.inputs.environment;
        let trust = self.whose.needed(environment)?;
        let identities = self.key.open(environment)?.ok_or_else(|| {
            BackupError::Usage("nothing opens the backup: give --identity or --passphrase".into())
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let progress = Progress::new(&runtime)?;
        let ground = Ground::take(&self.into, self.force)?;
        if ground.was_unfinished() {
            output::warn(
                "an earlier restore was ended half-way here: what it had moved is back in its place",
            );
        }
        let verified = verify(&self.file, &identities, trust, ground.path(), &progress);
        let mut verified = progress.outcome(verified)?;
        let local_keys = settings.local_keys.clone();
        let besides = Besides { backup_dir: settings.backup_dir.clone(), ..self.besides.clone() };
        let mut stores = Stores::new(kinds, settings);
        // The files that are in the backup, not those of this machine.
        stores.settings.local_keys = verified.key_dir();
        // What anybody may have made says nothing to our key stores.
        let is_believed = verified.opened.signer.is_some() || self.unsigned;
        if is_believed && !self.keys_unchecked {
            verified.keys = runtime.block_on(progress.or_stopped(keys(&stores, &verified, &progress)))?;
        }
        let refused = self.refused(&stores, &verified);
        stores.let_go(&runtime);
        warn_of(&verified.opened, Some(trust));
        if let Some(code) = refused {
            return Ok(code);
        }
        let at = SystemClock.now();
        let placed = restore(&ground, &self.file, &verified, &besides, at, &progress);
        let placed = progress.outcome(placed)?;
        self.show(&verified, &placed, &local_keys, form)
    }

    /// Why nothing is restored, which is told.
    fn refused(&self, stores: &Stores, verified: &Verification) -> Option<ExitCode> {
        let is_apart = |check: &KeyCheck| {
            let parts = &verified.opened.manifest.parts;
            let is_part = parts.iter().any(|part| part.key_uri.as_deref() == Some(&check.pin.key_uri));
            stores.lies_in_file(&check.pin.key_store, &check.pin.key_uri) && !is_part
        };
        tell_problems(verified);
        let differs = verified.keys.iter().any(|check| matches!(check.finding, KeyFinding::Differs(_)));
        if differs || !verified.problems.is_empty() {
            output::error("nothing was restored: the backup does not hold; use another one");
            return Some(ExitCode::from(FAILED));
        }
        if verified.opened.signer.is_none() && !self.unsigned {
            output::error(
                "nothing was restored: nobody vouches for the backup; use a signed one, or say --unsigned if you know where this file has been",
            );
            return Some(ExitCode::from(UNSIGNED));
        }
        if verified.keys.iter().any(|check| matches!(check.finding, KeyFinding::Refused(_))) {
            output::error(
                "nothing was restored: the backup is whole, and its keys do not open with the passphrase or PIN that was given; give the right one",
            );
            return Some(ExitCode::from(NOT_AUTHORISED));
        }
        let unreached = |check: &&KeyCheck| matches!(check.finding, KeyFinding::Unreachable(_));
        if verified.keys.iter().filter(unreached).any(|check| !is_apart(check)) {
            output::error(
                "nothing was restored: the CA would not have these keys; give their key stores' settings (and --local-passphrase-file for local ones) as for 'catalyst serve', or restore without a look at keys with --keys-unchecked",
            );
            return Some(ExitCode::from(KEYS_UNREACHED));
        }
        if self.keys_unchecked {
            output::warn(
                "no key was looked at: 'catalyst backend check' and 'catalyst pki status' show later whether all are there",
            );
        }
        None
    }

    fn show(
        &self,
        verified: &Verification,
        placed: &InPlace,
        local_keys: &Path,
        form: Output,
    ) -> Result<ExitCode, Trouble> {
        let keys = self.into.join("keys");
        let told = match form {
            Output::Json => json(&self.json(verified, placed))?,
            Output::Text | Output::Markdown => self.text(verified, placed),
        };
        // The store is in its place, whoever reads of it: any other code says that nothing was restored.
        let _ = print_with_files(&told, &[&self.into.display().to_string()]);
        let notes = &placed.restored.notes;
        notes.iter().take(TOLD).for_each(|note| output::warn(note));
        if notes.len() > TOLD {
            output::warn(&format!("{} more of that kind; --output json has all", notes.len() - TOLD));
        }
        let has_key_files = verified.opened.manifest.parts.iter().any(|part| part.key_uri.is_some());
        if has_key_files && local_keys != keys {
            output::warn(&format!(
                "the key files lie in {}, and the settings name {}: move them, or correct CATALYST_PKI_LOCAL_KEYS",
                keys.display(),
                local_keys.display()
            ));
        }
        if form != Output::Json {
            self.next_steps(placed);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn next_steps(&self, placed: &InPlace) {
        let directory = self.into.display();
        if placed.restored.secrets > 0 {
            output::hint(
                "preset secrets of before are revoked: give CATALYST_SYSTEM_TOKEN and CATALYST_BOOTSTRAP_TOKEN new values where they are set",
            );
        }
        if !self.besides.keep_tokens {
            output::hint(&format!(
                "tokens of before are dead; a new system token: catalyst token recover --data-dir {directory}"
            ));
        }
        output::hint("then start the service: it serves bundle and CRLs, and issues nothing yet");
        output::hint(
            "when nothing of the instance of before runs any more, anywhere: catalyst pki recovery confirm --old-instance-is-gone",
        );
    }

    fn text(&self, verified: &Verification, placed: &InPlace) -> String {
        let (manifest, restored) = (&verified.opened.manifest, &placed.restored);
        let journals: Vec<_> = placed
            .journals
            .iter()
            .map(|(path, lines)| format!("{} ({lines} lines)", path.display()))
            .collect();
        let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        let aside = placed.aside.as_ref().map(|path| path.display().to_string());
        let facts = [
            ("Deployment", format!("{} ({})", manifest.store.deployment, manifest.store.trust_domain)),
            ("As of", manifest.created_at.to_string()),
            ("Journal of denials", none(journals.join(", "))),
            (
                "Taken from the store of before",
                placed.stood.map_or("nothing".into(), |stood| format!("{stood} denials and revocations")),
            ),
            ("Newer CRLs", restored.crls.to_string()),
            ("Identities denied", restored.denied.to_string()),
            ("Certificates revoked", restored.revoked.to_string()),
            ("Tokens revoked", format!("{}, and {} preset secrets", restored.tokens, restored.secrets)),
            ("Store of before", none(aside.unwrap_or_default())),
        ];
        format!(
            "{} Backup restored: {}\n{}",
            ok(),
            printable(&self.into.display().to_string()),
            lines(&facts)
        )
    }

    fn json(&self, verified: &Verification, placed: &InPlace) -> Value {
        let (opened, restored) = (&verified.opened, &placed.restored);
        let journal =
            |(path, lines): &(PathBuf, usize)| json!({"path": path.display().to_string(), "lines": lines});
        json!({
            "dataDir": self.into.display().to_string(),
            "deployment": opened.manifest.store.deployment, "snapshotAt": opened.manifest.created_at.to_string(),
            "signer": opened.signer.as_ref().map(signer_json),
            "journals": placed.journals.iter().map(journal).collect::<Vec<_>>(),
            "stood": placed.stood, "crls": restored.crls, "denied": restored.denied, "revoked": restored.revoked,
            "tokens": restored.tokens, "secrets": restored.secrets,
            "aside": placed.aside.as_ref().map(|path| path.display().to_string()),
            "notes": restored.notes,
        })
    }
}
