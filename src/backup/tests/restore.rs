//! What is told of a backup that was put back, and of what lies beside it.

use super::*;
use crate::{
    identity::CaRole,
    store::{JOURNAL, JournalLine},
};
use serde_json::json;
use std::os::unix::fs::symlink;

/// A place to restore into, and one with a backup.
struct Places {
    into: TempDir,
    from: TempDir,
}

impl Places {
    async fn new(ca: &Ca) -> Self {
        let places = Self { into: TempDir::new().unwrap(), from: TempDir::new().unwrap() };
        fs::write(places.file(), ca.backup().await).unwrap();
        places
    }

    fn file(&self) -> PathBuf {
        self.from.path().join("backup.age")
    }

    fn restore(&self, ca: &Ca) -> Result<InPlace> {
        let ground = Ground::take(self.into.path(), true)?;
        let trust = Trust::Root(ca.root());
        let verified = verify(&self.file(), &ca.identities(), trust, ground.path(), &Unwatched)?;
        restore(&ground, &self.file(), &verified, &Besides::default(), now(), &Unwatched)
    }
}

#[tokio::test]
async fn that_the_signer_was_revoked_after_the_backup_is_told() {
    let ca = Ca::new().await;
    let facts = ca.snapshot().unwrap().facts;
    let places = Places::new(&ca).await;
    for (role, is_told) in [(CaRole::Transport, false), (CaRole::Services, true)] {
        let revoked = facts.cas.iter().find(|ca| ca.role == role).unwrap();
        let line = JournalLine {
            deployment: facts.deployment.clone(),
            seq: 1_000,
            at: now().millis(),
            action: "ca.revoked".into(),
            subject: revoked.ski.to_string(),
            detail: json!({"reason": 2}),
        };
        let text = serde_json::to_string(&line).unwrap() + "\n";
        fs::write(places.from.path().join(JOURNAL), text).unwrap();
        let notes = places.restore(&ca).unwrap().restored.notes;
        assert_eq!(notes.iter().any(|note| note.contains("Services CA, was revoked")), is_told, "{notes:?}");
    }
}

/// What can't be read is not taken for what is not there.
#[tokio::test]
async fn a_journal_beside_the_backup_that_cannot_be_read_stops_the_restore() {
    let ca = Ca::new().await;
    let places = Places::new(&ca).await;
    symlink("nowhere", places.from.path().join(JOURNAL)).unwrap();
    let error = places.restore(&ca).unwrap_err().to_string();
    assert!(error.contains(JOURNAL), "{error}");
    assert!(!places.into.path().join("certs.db").exists());
}
