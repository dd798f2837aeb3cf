//! Old audit records: after 30 days they go from the store into sealed files beside it, one JSON object a line, the
//! last line a signed head. After 400 days the files go too.

use crate::{
    access::{Access, AccessError},
    identity::{Actor, Timestamp},
    store::{AuditHead, AuditQuery, AuditRecord},
};
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The directory of sealed files, in the data directory.
pub const SEALED_DIRECTORY: &str = "audit";
/// The ending of a file in whose place another one was written.
const SUPERSEDED: &str = "superseded";
/// So long records stay in the store, in seconds.
const IN_STORE_SECONDS: i64 = 30 * 86_400;
/// So long sealed files stay, in seconds.
const SEALED_SECONDS: i64 = 400 * 86_400;
/// So many records go into a file at most: dropping them must not hold the store's writer for long.
const PIECE: u32 = 5_000;

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Its name.
    pub name: String,
    /// The last record in it.
    pub head: AuditHead,
}

impl Access {
    /// Seals the oldest records that are due, at most one file of them; `None` when none is due.
    ///
    /// # Errors
    /// The file's, the key store's, the store's; nothing is dropped before its file is durable.
    pub async fn seal_audit(&self, data_dir: &Path) -> Result<Option<Seal>, AccessError> {
        let now = self.clock.now();
        let query = AuditQuery {
            limit: PIECE,
            until: Some(now.plus_seconds(-IN_STORE_SECONDS)),
            ..AuditQuery::default()
        };
        let base = self.store.audit_base().await?;
        let records = self.store.audit(&AuditQuery { after: base.seq, ..query }).await?;
        let records = unbroken(records, base);
        let Some(last) = records.last() else { return Ok(None) };
        let head = last.head();
        let signed = self.sign_this_head(head).await?;
        let end = json!({"seq": head.seq, "hash": crate::identity::hex(&head.hash), "at": signed.at.millis(),
            "kid": signed.kid, "signature": signed.signature});
        // The name tells when the file may go: the time of its last record.
        let name = format!("audit-{:012}-{:012}-{}.jsonl", base.seq + 1, head.seq, last.at.millis());
        let directory = data_dir.join(SEALED_DIRECTORY);
        let (file, written) = (name.clone(), records.clone());
        tokio::task::spawn_blocking(move || write(&directory, &file, &written, &end.to_string()))
            .await
            .map_err(|error| AccessError::Internal(error.to_string()))??;
        self.store.drop_sealed_audit(head, &name, &self.stamp(Actor::Service)).await?;
        tracing::info!(target: "catalyst.pki", file = name, records = records.len(), "Audit records sealed");
        Ok(Some(Seal { name, head }))
    }

    /// Deletes sealed files whose last record is older than 400 days; answers how many.
    ///
    /// # Errors
    /// The directory's.
    pub async fn drop_old_seals(&self, data_dir: &Path) -> Result<usize, AccessError> {
        let directory = data_dir.join(SEALED_DIRECTORY);
        let before = self.clock.now().plus_seconds(-SEALED_SECONDS);
        tokio::task::spawn_blocking(move || delete_before(&directory, before))
            .await
            .map_err(|error| AccessError::Internal(error.to_string()))?
    }
}

/// The records up to the first gap. A filter by time may leave one out where the clock went back.
fn unbroken(records: Vec<AuditRecord>, base: AuditHead) -> Vec<AuditRecord> {
    let mut seq = base.seq;
    records
        .into_iter()
        .take_while(|record| {
            seq += 1;
            record.seq == seq
        })
        .collect()
}

/// A record as it stands in a sealed file and on the wire.
fn line(record: &AuditRecord) -> String {
    let hex = crate::identity::hex;
    json!({"seq": record.seq, "at": record.at.millis(), "actor": record.actor, "action": record.action,
        "subject": record.subject, "detail": record.detail, "prevHash": hex(&record.prev_hash),
        "hash": hex(&record.hash)})
    .to_string()
}

fn write(directory: &Path, name: &str, records: &[AuditRecord], end: &str) -> Result<(), AccessError> {
    let path = directory.join(name);
    let staged = directory.join(format!("{name}.new"));
    let written = || -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        let mut out = BufWriter::new(file);
        for record in records {
            writeln!(out, "{}", line(record))?;
        }
        writeln!(out, "{end}")?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&staged, &path)?;
        put_aside(directory, name)?;
        File::open(directory)?.sync_all()
    };
    written().map_err(|source| AccessError::File { path, source })
}

/// Puts files aside that begin with the same record: an earlier try ended before the store dropped what is in them, or
/// the store was restored from before they were made. Nothing sealed is deleted before its time.
fn put_aside(directory: &Path, name: &str) -> io::Result<()> {
    let same_beginning = name.get(.."audit-000000000000-".len()).unwrap_or(name);
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let other = path.file_name().map(|other| other.to_string_lossy()).unwrap_or_default();
        if other != name && other.starts_with(same_beginning) && other.ends_with(".jsonl") {
            fs::rename(&path, path.with_extension(SUPERSEDED))?;
        }
    }
    Ok(())
}

fn delete_before(directory: &Path, before: Timestamp) -> Result<usize, AccessError> {
    let failed = |path: PathBuf| move |source| AccessError::File { path, source };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(failed(directory.to_owned()))?,
    };
    let mut deleted = 0;
    for entry in entries {
        let path = entry.map_err(failed(directory.to_owned()))?.path();
        if last_record(&path).is_some_and(|at| at < before) {
            fs::remove_file(&path).map_err(failed(path.clone()))?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// When the last record of a sealed file was written, by its name; `None` for any other file.
fn last_record(path: &Path) -> Option<Timestamp> {
    let ending = path.extension()?.to_str()?;
    if ending != "jsonl" && ending != SUPERSEDED {
        return None;
    }
    let name = path.file_stem()?.to_str()?.strip_prefix("audit-")?;
    name.rsplit('-').next()?.parse().ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_go_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(directory.path().join(name), "x").unwrap();
        put("audit-000000000001-000000000009-1000.jsonl");
        put("audit-000000000010-000000000019-3000.jsonl");
        put("notes.txt");
        assert_eq!(delete_before(directory.path(), Timestamp::from_millis(2000)).unwrap(), 1);
        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["audit-000000000010-000000000019-3000.jsonl", "notes.txt"]);
        assert_eq!(delete_before(&directory.path().join("absent"), Timestamp::from_millis(0)).unwrap(), 0);
    }
}
