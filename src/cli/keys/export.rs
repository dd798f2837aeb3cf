//! `catalyst pki keys export`

use super::{
    super::{
        arguments::Output,
        backup::{Trouble, prompt},
        exit::{self, WRONG_USAGE},
        files::{Place, Readers},
        output::{self, json, ok, print_with_files},
    },
    settings, wrong,
};
use crate::{
    backup::{BackupError, ExportedKey, KeyName, Lock, export_key, parse_recipients, recipients_in_file},
    client::printable,
    key_stores::open_local,
    settings::{Inputs, Settings, Table},
    store::{DataDirLock, SqliteStore, Store as _, pending_migration},
};
use catalyst_signing::KeyPin;
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};
use zeroize::Zeroizing;

/// What whoever exports a key should know.
const EXPLANATION: &str = "nothing was done. The private key leaves this deployment, and nobody can call it back: whoever holds an age identity of a recipient can sign with it everything that the CA can, until each verifier has been told. The export stays on record in the audit log. To have a copy for bad days, make a backup instead ('catalyst backup create'), which holds the key files under their passphrase";

/// A key that is to be written out.
#[derive(Debug)]
pub(in crate::cli) struct Export {
    pub(in crate::cli) name: KeyName,
    pub(in crate::cli) understood: bool,
    pub(in crate::cli) recipients: Vec<String>,
    pub(in crate::cli) recipients_files: Vec<PathBuf>,
    pub(in crate::cli) to: PathBuf,
    pub(in crate::cli) inputs: Inputs,
}

impl Export {
    pub(super) fn run(&self, table: &Table, form: Output) -> Result<ExitCode, Trouble> {
        if !self.understood {
            output::error(EXPLANATION);
            output::hint("give --i-understand if that is what you want");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
        let settings = settings(table, &self.inputs)?;
        let place = match Place::look(&self.to, false) {
            Ok(place) => place,
            Err(error) => return Ok(exit::report(&error)),
        };
        let mut recipients = self.recipients.clone();
        for path in &self.recipients_files {
            recipients.extend(recipients_in_file(path)?);
        }
        let terminal = prompt::Terminal::new(&self.inputs.environment)?;
        let lock = Lock::Recipients(parse_recipients(&recipients, terminal)?);
        // Opening would make an empty one.
        if !settings.certs_db.is_file() {
            let sentence = format!(
                "there is no certificate store at {}: name it with --certs-db",
                settings.certs_db.display()
            );
            return Err(wrong(sentence));
        }
        let key = exported(&settings, self.name, &lock, &recipients)?;
        place.write(Readers::Owner, &key.sealed)?;
        self.show(&key, form)
    }

    fn show(&self, key: &ExportedKey, form: Output) -> Result<ExitCode, Trouble> {
        let path = self.to.display().to_string();
        let ExportedKey { name, uri, spki, .. } = key;
        let printed = match form {
            Output::Json => json(&json!({
                "key": name.to_string(), "keyUri": uri.as_str(), "spkiSha256": spki.to_string(), "path": path,
            }))?,
            Output::Text | Output::Markdown => format!(
                "{} Key exported: {}\n  Key:          {name} ({uri})\n  SPKI SHA-256: {spki}\n",
                ok(),
                printable(&path)
            ),
        };
        output::warn("whoever opens this file has the key: keep it as you keep the identities that open it");
        Ok(print_with_files(&printed, &[&path]))
    }
}

/// The key, once it is on record. The lock on the data directory is held: no service runs meanwhile.
fn exported(
    settings: &Settings,
    name: KeyName,
    lock: &Lock,
    recipients: &[String],
) -> Result<ExportedKey, Trouble> {
    let take = |key_store: &str, pin: &KeyPin| -> Result<Zeroizing<String>, String> {
        if key_store != "local" {
            return Err(format!(
                "the {name} key is in the key store '{key_store}', which gives no private key out: a backup of it is made with that store's own means, if at all"
            ));
        }
        let local = open_local(settings).map_err(|error| error.to_string())?;
        let local =
            local.ok_or("there is no passphrase for local keys: give it with --local-passphrase-file")?;
        local.export(pin).map_err(|error| error.to_string())
    };
    let held = DataDirLock::acquire(&settings.data_dir).map_err(BackupError::from)?;
    if pending_migration(&settings.certs_db).map_err(BackupError::from)?.is_some() {
        let sentence = "the store is of an earlier version of this program: start the service once, which keeps what was before it brings the store to its own schema, and stop it again";
        return Err(wrong(sentence));
    }
    let store = SqliteStore::open_locked(&settings.certs_db, held).map_err(BackupError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let done = export_key(&store, name, &take, lock, recipients).await;
        let closed = store.close().await;
        done.and_then(|key| closed.map(|()| key).map_err(Into::into))
    });
    Ok(done?)
}
