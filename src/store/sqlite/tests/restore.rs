//! A store out of a backup, brought up to date: what was taken away since is taken away, and nothing is given back.

use super::*;
use crate::{
    identity::CaRole,
    store::{
        AuditQuery, BootstrapGrant, CertificateStatus, CrlEntry, JOURNALLED, JournalLine, NewerCrl,
        RestorePlan, Restored, RevocationReason, StoreError, TokenRecord, TokenSelector, occupant,
        restore_store,
    },
};
use conformance::fixture::*;
use serde_json::json;
use tempfile::tempdir;

/// A store that goes on after its backup was made.
pub(super) struct Lost {
    pub(super) directory: TempDir,
    pub(super) backup: PathBuf,
}

const SNAPSHOT: i64 = 1000;
pub(super) const NOW: i64 = 2000;

impl Lost {
    /// `before` happens before the backup, `after` after it.
    pub(super) async fn new(
        before: impl AsyncFnOnce(&World<'_>),
        after: impl AsyncFnOnce(&World<'_>),
    ) -> Self {
        let directory = tempdir().unwrap();
        let (path, backup) = (directory.path().join("certs.db"), directory.path().join("backup.db"));
        let store = SqliteStore::open(&path).unwrap();
        let world = World::new(&store).await;
        before(&world).await;
        assert!(crate::store::copy_store(&path, &backup, &mut |_| true).unwrap());
        after(&world).await;
        store.close().await.unwrap();
        Self { directory, backup }
    }

    /// The journal that the store has written, from its first record on.
    pub(super) async fn journal(&self) -> Vec<JournalLine> {
        let store = SqliteStore::open(&self.directory.path().join("certs.db")).unwrap();
        let deployment = store.deployment().await.unwrap().id;
        let records = store.audit(&AuditQuery { limit: 1000, ..AuditQuery::default() }).await.unwrap();
        let mut lines = Vec::new();
        for record in records.into_iter().filter(|record| JOURNALLED.contains(&record.action.as_str())) {
            let mut detail: serde_json::Value = serde_json::from_str(&record.detail).unwrap();
            if record.action == "certificate.revoked" {
                let row = store.certificate(record.subject.parse().unwrap(), at(NOW)).await.unwrap().unwrap();
                detail["issuer"] = ski(CaRole::Services, 1).to_string().into();
                detail["notAfter"] = row.not_after.millis().into();
            }
            lines.push(JournalLine {
                deployment: deployment.clone(),
                seq: record.seq,
                at: record.at.millis(),
                action: record.action,
                subject: record.subject,
                detail,
            });
        }
        store.close().await.unwrap();
        lines
    }

    /// Restores a copy of the backup; answers what was done, and the store.
    pub(super) fn restored(&self, plan: &RestorePlan) -> (Restored, TempDir, SqliteStore) {
        let directory = tempdir().unwrap();
        let path = directory.path().join("certs.db");
        std::fs::copy(&self.backup, &path).unwrap();
        let restored = restore_store(&path, plan, at(NOW)).unwrap();
        assert!(!directory.path().join("certs.db-wal").exists());
        assert_eq!(crate::store::StoreCopy::open(&path).unwrap().faults().unwrap(), Vec::<String>::new());
        let store = SqliteStore::open(&path).unwrap();
        (restored, directory, store)
    }
}

pub(super) fn plan(journal: Vec<JournalLine>) -> RestorePlan {
    let manifest_sha256 = [7; 32];
    let (crls, standing) = (Vec::new(), None);
    RestorePlan { snapshot_at: at(SNAPSHOT), manifest_sha256, crls, journal, standing, keep_tokens: false }
}

pub(super) async fn denied(store: &SqliteStore) -> Vec<String> {
    let mut ids: Vec<_> =
        store.denied_identities().await.unwrap().into_iter().map(|d| d.spiffe_id.to_string()).collect();
    ids.sort();
    ids
}

pub(super) async fn entries(store: &SqliteStore) -> Vec<CrlEntry> {
    store.reserve_crl(ski(CaRole::Services, 1), &stamp(NOW)).await.unwrap().entries
}

pub(super) fn line(
    seq: i64,
    when: i64,
    action: &str,
    subject: &str,
    detail: serde_json::Value,
) -> JournalLine {
    let deployment = "0123456789abcdef".to_owned();
    let (action, subject, at) = (action.to_owned(), subject.to_owned(), at(when).millis());
    JournalLine { deployment, seq, at, action, subject, detail }
}

#[tokio::test]
async fn what_the_journal_takes_away_is_gone_however_often_and_in_whichever_order_it_stands_there() {
    let lost = Lost::new(
        async |world| {
            for name in ["n1", "n2", "n3"] {
                world.issue(name, 10).await;
            }
            world.store.record_token(&token("t1"), &stamp(10)).await.unwrap();
        },
        async |world| {
            let store = world.store;
            store.deny_identity(&spiffe("n1"), "stolen", true, &stamp(1100)).await.unwrap();
            store.deny_identity(&spiffe("n2"), "why", false, &stamp(1200)).await.unwrap();
            store.allow_identity(&spiffe("n2"), &stamp(1300)).await.unwrap();
            let late = world.issue("n4", 1400).await;
            store
                .revoke_certificate(late.record().serial, RevocationReason::KeyCompromise, &stamp(1500))
                .await
                .unwrap();
            store.revoke_ca(world.transport.ski, RevocationReason::CaCompromise, &stamp(1600)).await.unwrap();
            store.revoke_tokens(&TokenSelector::Jti("t1".into()), &stamp(1700)).await.unwrap();
            store.preset_secret("system", &[9; 32], &stamp(1710)).await.unwrap();
            store.revoke_preset_secret("system", &[9; 32], &stamp(1720)).await.unwrap();
        },
    )
    .await;
    let lines = lost.journal().await;
    let twice = [lines.clone(), lines.clone()].concat();
    let again = [lines.clone(), lines[..2].to_vec()].concat();
    for journal in [lines, twice, again] {
        let keep = RestorePlan { keep_tokens: true, ..plan(journal) };
        let (restored, _directory, store) = lost.restored(&keep);
        assert_eq!(restored.notes, Vec::<String>::new());
        let did = (restored.denied, restored.revoked, restored.tokens, restored.secrets);
        assert_eq!(did, (1, 2, 1, 1));
        assert_eq!(denied(&store).await, [spiffe("n1").to_string()]);
        let denial = store.denied_identities().await.unwrap().remove(0);
        assert_eq!(
            (denial.denied_at, denial.compromised, denial.reason.as_str()),
            (at(1100), true, "stolen")
        );
        let on_crl: Vec<_> = entries(&store).await.into_iter().map(|entry| entry.reason).collect();
        assert_eq!(on_crl, [RevocationReason::KeyCompromise; 2]);
        assert!(store.preset_secret("system", &[9; 32], &stamp(NOW)).await.unwrap().revoked_at.is_some());
        assert!(store.token("t1").await.unwrap().unwrap().revoked_at.is_some());
        let hierarchy = store.hierarchy().await.unwrap();
        assert!(
            hierarchy
                .cas
                .iter()
                .any(|ca| ca.certificate.ski == ski(CaRole::Transport, 1) && !ca.is_live(at(NOW)))
        );
        let restoration = store.restoration().await.unwrap().unwrap();
        assert_eq!((restoration.snapshot_at, restoration.restored_at), (at(SNAPSHOT), at(NOW)));
        assert_eq!(restoration.confirmed_at, None);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_line_that_does_not_fit_is_told_and_leaves_nothing() {
    let lost = Lost::new(async |_| {}, async |_| {}).await;
    let denial = json!({"reason": "why", "compromised": false});
    let other_ca = json!({"reason": 1, "spki": key("k").to_string(), "issuer": "00".repeat(20)});
    let serial = serial().to_string();
    let lines = vec![
        line(100, 1100, "identity.denied", "n1", denial.clone()),
        line(101, 1100, "identity.denied", spiffe("n1").as_str(), json!({})),
        line(102, 1100, "certificate.revoked", "1", json!({"reason": 1})),
        line(103, 1100, "certificate.revoked", &serial, json!({"reason": 6})),
        line(104, 1100, "certificate.revoked", &serial, json!({"reason": 77})),
        line(105, 1100, "certificate.revoked", &serial, json!({"reason": 1})),
        line(106, 1100, "certificate.revoked", &serial, other_ca),
        line(107, 1100, "ca.revoked", &"00".repeat(20), json!({"reason": 1})),
        line(108, 1100, "ca.revoked", &ski(CaRole::Root, 1).to_string(), json!({"reason": 1})),
        line(109, 1100, "secret.revoked", "other", json!({"sha256": key("k").to_string()})),
        line(110, 1100, "secret.revoked", "system", json!({"sha256": "x"})),
        line(111, 1100, "no.action", "system", json!({})),
    ];
    let told = lines.len();
    let good = line(112, i64::MAX / 2_000_000, "identity.denied", spiffe("n9").as_str(), denial);
    let (restored, directory, store) = lost.restored(&plan([&lines[..], &[good]].concat()));
    assert_eq!(restored.notes.len(), told, "{restored:?}");
    assert_eq!((restored.denied, restored.revoked), (1, 0));
    // Of a time to come: the store's own is not moved on by it.
    assert_eq!(store.denied_identities().await.unwrap()[0].denied_at, at(NOW));
    assert_eq!(store.newest_time().await.unwrap(), at(NOW));
    store.close().await.unwrap();
    let blocked: i64 = rusqlite::Connection::open(directory.path().join("certs.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM blocked_key", (), |row| row.get(0))
        .unwrap();
    assert_eq!(blocked, 0);
}

fn crl(number: i64, entries: Vec<CrlEntry>) -> NewerCrl {
    let issuer = ski(CaRole::Services, 1);
    let (this_update, next_update) = (at(1500), at(1500 + DAY));
    NewerCrl { issuer, number, this_update, next_update, der: b"a CRL".to_vec(), entries }
}

#[tokio::test]
async fn a_newer_crl_is_merged_published_and_counted_on_from() {
    let mut issued = Vec::new();
    let lost = Lost::new(
        async |world| {
            for name in ["n1", "n2"] {
                issued.push(world.issue(name, 10).await.record().serial);
            }
        },
        async |_| {},
    )
    .await;
    let unknown = serial();
    let entry = |serial, reason| CrlEntry { serial, revoked_at: at(1400), reason };
    let on_it = vec![
        entry(issued[0], RevocationReason::CertificateHold),
        entry(issued[1], RevocationReason::KeyCompromise),
        entry(unknown, RevocationReason::CertificateHold),
    ];
    let number = at(3000).seconds();
    let with = |crls| RestorePlan { crls, ..plan(Vec::new()) };
    let (restored, _directory, store) = lost.restored(&with(vec![crl(number, on_it.clone())]));
    assert_eq!((restored.crls, restored.denied, restored.revoked), (1, 1, 3));
    let rows = store.crls().await.unwrap();
    let row = rows.into_iter().find(|row| row.issuer == ski(CaRole::Services, 1)).unwrap();
    assert!(row.pending);
    assert_eq!(row.published.map(|crl| (crl.number, crl.der)), Some((number, b"a CRL".to_vec())));
    assert_eq!(denied(&store).await, [spiffe("n1").to_string()]);
    let status = |row: crate::store::CertificateRow| row.status;
    let first = store.certificate(issued[0], at(NOW)).await.unwrap().map(status);
    let second = store.certificate(issued[1], at(NOW)).await.unwrap().map(status);
    assert_eq!((first, second), (Some(CertificateStatus::Held), Some(CertificateStatus::Revoked)));
    let reserved = store.reserve_crl(ski(CaRole::Services, 1), &stamp(NOW)).await.unwrap();
    assert_eq!(reserved.number, number + 1);
    let mut expected = on_it.clone();
    expected.sort_by_key(|entry| entry.serial);
    assert_eq!(reserved.entries, expected);

    // One that is over counts for its number and lines, and is not served.
    let over = NewerCrl { next_update: at(NOW), ..crl(number, on_it.clone()) };
    let (_, _directory, store) = lost.restored(&with(vec![over]));
    let rows = store.crls().await.unwrap();
    assert!(rows.into_iter().all(|row| row.published.is_none()));
    assert_eq!(entries(&store).await.len(), 3);

    // An older one after a newer one, and another CA's, give nothing.
    let other = NewerCrl { issuer: ski(CaRole::Services, 9), ..crl(number, on_it.clone()) };
    let (restored, _directory, store) =
        lost.restored(&with(vec![crl(number, Vec::new()), crl(number - 1, on_it), other]));
    assert_eq!((restored.crls, restored.notes.len(), entries(&store).await.len()), (1, 2, 0));
}

#[tokio::test]
async fn credentials_of_before_are_dead_unless_they_are_to_be_kept() {
    let lost = Lost::new(
        async |world| {
            let store = world.store;
            for jti in ["t1", "t2"] {
                store.record_token(&token(jti), &stamp(10)).await.unwrap();
            }
            let once = BootstrapGrant { spiffe_id: None, uses: 1 };
            store
                .record_token(&TokenRecord { bootstrap: Some(once), ..token("once") }, &stamp(10))
                .await
                .unwrap();
            store.revoke_tokens(&TokenSelector::Jti("t2".into()), &stamp(20)).await.unwrap();
            store.preset_secret("bootstrap", &[3; 32], &stamp(30)).await.unwrap();
        },
        async |_| {},
    )
    .await;
    for (keep_tokens, dead) in [(false, true), (true, false)] {
        let (restored, _directory, store) = lost.restored(&RestorePlan { keep_tokens, ..plan(Vec::new()) });
        assert_eq!((restored.tokens, restored.secrets), (1 + u64::from(dead), u64::from(dead)));
        // It may have been used after the backup.
        assert!(store.token("once").await.unwrap().unwrap().revoked_at.is_some());
        assert_eq!(store.token("t1").await.unwrap().unwrap().revoked_at.is_some(), dead);
        let secret = store.preset_secret("bootstrap", &[3; 32], &stamp(NOW)).await.unwrap();
        assert_eq!(secret.revoked_at.is_some(), dead);
        let last =
            store.audit(&AuditQuery { limit: 1000, ..AuditQuery::default() }).await.unwrap().pop().unwrap();
        assert_eq!(last.action, "deployment.restored");
        assert!(last.detail.contains(&"07".repeat(32)), "{}", last.detail);
    }
}

#[tokio::test]
async fn numbers_rise_and_a_clock_that_stands_before_the_backup_is_refused() {
    let lost = Lost::new(
        async |world| {
            world.issue("n1", 900).await;
        },
        async |world| {
            world
                .store
                .revoke_ca(world.transport.ski, RevocationReason::CaCompromise, &stamp(1900))
                .await
                .unwrap();
        },
    )
    .await;
    let original = SqliteStore::open(&lost.directory.path().join("certs.db")).unwrap();
    let before = original.hierarchy().await.unwrap();
    let (_, _directory, store) = lost.restored(&plan(Vec::new()));
    let after = store.hierarchy().await.unwrap();
    assert!(after.bundle_version > before.bundle_version && after.spiffe_sequence > before.spiffe_sequence);

    for (snapshot, now) in [(SNAPSHOT, 999), (SNAPSHOT, 0), (100, 899)] {
        let plan = RestorePlan { snapshot_at: at(snapshot), ..plan(Vec::new()) };
        let refused = restore_store(&lost.backup, &plan, at(now)).unwrap_err();
        assert!(matches!(&refused, StoreError::Conflict(why) if why.contains("set the clock")), "{refused}");
    }
    assert_eq!(occupant(&lost.backup).unwrap().deployment, original.deployment().await.unwrap().id);
}

/// Rows that still stand in the log count, and the log stays as it is.
#[tokio::test]
async fn whose_a_store_is_shows_while_its_rows_are_in_its_log() {
    let (directory, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let world = World::new(&store).await;
    let copied = tempdir().unwrap();
    for name in ["certs.db", "certs.db-wal"] {
        std::fs::copy(directory.path().join(name), copied.path().join(name)).unwrap();
    }
    let log = std::fs::read(copied.path().join("certs.db-wal")).unwrap();
    let found = occupant(&copied.path().join("certs.db")).unwrap();
    assert_eq!((found.deployment, found.is_in_use), (world.store.deployment().await.unwrap().id, true));
    assert_eq!(std::fs::read(copied.path().join("certs.db-wal")).unwrap(), log);
    std::fs::write(copied.path().join("certs.db"), "no store").unwrap();
    assert!(occupant(&copied.path().join("certs.db")).is_err());
}
