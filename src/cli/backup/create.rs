//! `catalyst backup create`

use super::{
    super::{
        arguments::Output,
        output::{self, json, ok},
    },
    Stores, Trouble, lines,
    progress::Progress,
    prompt,
};
use crate::{
    backup::{
        BackupError, Lock, Octets, Seal, Signer, Snapshot, Source, Target, Trust, Watch as _, open_signer,
        parse_recipients, recipients_in_file, write,
    },
    identity::{Clock as _, SystemClock},
    key_stores::{Kinds, key_file},
    settings::{Environment, Inputs, Settings, Table},
};
use serde_json::json;
use std::{
    io::{self, BufWriter, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::{runtime::Runtime, time::Instant};

/// How long the key store may take to sign.
const SIGNING: Duration = Duration::from_secs(30);

/// A backup that is wanted.
#[derive(Debug)]
pub(in crate::cli) struct Create {
    /// A file or directory; `None` is standard output.
    pub(in crate::cli) to: Option<PathBuf>,
    pub(in crate::cli) force: bool,
    pub(in crate::cli) recipients: Vec<String>,
    pub(in crate::cli) recipients_files: Vec<PathBuf>,
    pub(in crate::cli) passphrase: bool,
    pub(in crate::cli) unsigned: bool,
    pub(in crate::cli) work_dir: Option<PathBuf>,
    pub(in crate::cli) inputs: Inputs,
}

/// Where it goes.
enum To {
    Place(Target),
    Stdout,
}

impl Create {
    pub(super) fn run(&self, kinds: &Kinds, table: &Table, form: Output) -> Result<ExitCode, Trouble> {
        let settings = Settings::read(table, &self.inputs)?;
        let to = self.place()?;
        let lock = self.lock(&settings, &self.inputs.environment)?;
        let stores = Stores::new(kinds, settings);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let progress = Progress::new(&runtime)?;
        let made = self.make(&stores, &to, &lock, &runtime, &progress);
        stores.let_go(&runtime);
        runtime.shutdown_background();
        made?.show(form)
    }

    fn place(&self) -> Result<To, Trouble> {
        match &self.to {
            Some(path) => Ok(To::Place(Target::look(path, self.force)?)),
            None if io::stdout().is_terminal() => Err(BackupError::Usage(
                "standard output is a terminal, which a backup would make unreadable: send it into a pipe or a file, or use --output".into(),
            )
            .into()),
            None => Ok(To::Stdout),
        }
    }

    fn lock(&self, settings: &Settings, environment: &Environment) -> Result<Lock, Trouble> {
        if self.passphrase {
            return Ok(Lock::of_passphrase(prompt::new(environment)?)?);
        }
        let split = |text: &String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut recipients: Vec<String> = self.recipients.iter().flat_map(split).collect();
        for path in &self.recipients_files {
            recipients.extend(recipients_in_file(path)?);
        }
        // Those of the settings are for whoever names none.
        if recipients.is_empty() {
            recipients.clone_from(&settings.backup_recipients);
        }
        Ok(Lock::Recipients(parse_recipients(&recipients, prompt::Terminal::new(environment)?)?))
    }

    fn make(
        &self,
        stores: &Stores,
        to: &To,
        lock: &Lock,
        runtime: &Runtime,
        progress: &Progress,
    ) -> Result<Made, Trouble> {
        let settings = &stores.settings;
        let source = Source {
            certs_db: &settings.certs_db,
            work_dir: self.work_dir.as_deref().unwrap_or(&settings.data_dir),
            key_file: &|backend, uri| key_file(settings, backend, uri),
        };
        let taken = Snapshot::take(&source, SystemClock.now(), progress);
        let snapshot = progress.outcome(taken)?;
        let bytes = snapshot.manifest.bytes()?;
        let seal = if self.unsigned {
            Seal::Unsigned {}
        } else {
            progress.has_done("signing", 0, 0);
            runtime.block_on(progress.or_stopped(sign(stores, &snapshot, &bytes)))??
        };
        // Whoever makes one that no reader would take is told now.
        let signer = seal.check(&bytes, &snapshot.manifest, Trust::FirstUse)?;
        let sealed = seal.bytes()?;
        let (path, size) = match to {
            To::Place(target) => {
                let written = target.write(lock, &snapshot, &bytes, &sealed, progress);
                let (path, size) = progress.outcome(written)?;
                (Some(path), size)
            }
            To::Stdout => {
                let stream = Octets::new(BufWriter::new(io::stdout().lock()));
                let mut written =
                    progress.outcome(write(stream, lock, &snapshot, &bytes, &sealed, progress))?;
                written.flush()?;
                (None, written.written().octets)
            }
        };
        Ok(Made { path, size, snapshot, signer })
    }
}

async fn sign(stores: &Stores, snapshot: &Snapshot, manifest: &[u8]) -> Result<Seal, BackupError> {
    let key = open_signer(&snapshot.facts, &|name| stores.open(name)).await?;
    let at = snapshot.manifest.created_at;
    Seal::sign(&key, &snapshot.facts, manifest, at, Instant::now() + SIGNING).await
}

/// A backup that was made.
struct Made {
    path: Option<PathBuf>,
    size: u64,
    snapshot: Snapshot,
    signer: Option<Signer>,
}

impl Made {
    fn show(&self, form: Output) -> Result<ExitCode, Trouble> {
        self.snapshot.notes.iter().for_each(|note| output::warn(note));
        if self.signer.is_none() {
            output::warn("the backup is unsigned: nothing will show whether somebody has altered or made it");
        }
        let Some(path) = &self.path else {
            output::hint(&format!("{} octets were written to standard output", self.size));
            return Ok(ExitCode::SUCCESS);
        };
        let printed = match form {
            Output::Json => json(&self.json(path))?,
            Output::Text | Output::Markdown => self.text(path),
        };
        Ok(output::print_with_files(&printed, &[&path.display().to_string()]))
    }

    fn text(&self, path: &Path) -> String {
        let manifest = &self.snapshot.manifest;
        let key_files = self.snapshot.key_files.len();
        let signed = self.signer.as_ref().map_or("nobody".into(), |signer| {
            format!("{} ({}), under root {}", signer.common_name, signer.certificate, signer.root)
        });
        let facts = [
            ("Size", format!("{} octets", self.size)),
            ("Deployment", format!("{} ({})", manifest.store.deployment, manifest.store.trust_domain)),
            ("Created", manifest.created_at.to_string()),
            ("Signed by", signed),
            ("Audit records", manifest.store.audit.seq.to_string()),
            ("Key files", key_files.to_string()),
        ];
        format!(
            "{} Backup written: {}\n{}",
            ok(),
            crate::client::printable(&path.display().to_string()),
            lines(&facts)
        )
    }

    fn json(&self, path: &Path) -> serde_json::Value {
        let signer = self.signer.as_ref().map(super::verify::signer_json);
        json!({
            "path": path.display().to_string(), "size": self.size, "signer": signer,
            "notes": self.snapshot.notes, "manifest": self.snapshot.manifest,
        })
    }
}
