//! Sealing: what is old goes into files that stand for themselves, and nothing is dropped before its file is durable.

use super::{Denials, SEALED_DIRECTORY, head_octets};
use crate::{
    access::{Access, AccessError, Config, Policies},
    authority::{self, Authority},
    identity::{Actor, Clock, ServiceType, Timestamp, Workload, unhex},
    store::{AuditEntry, AuditHead, AuditQuery, AuditRecord, AuditVerdict, SqliteStore, Stamp, Store},
};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use catalyst_local::EphemeralBackend;
use catalyst_signing::{Guard, KeyStores, NoObserver, SigningBackend};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

const DAY: i64 = 86_400_000;

/// A clock that stands until it is moved.
#[derive(Debug)]
struct Hands(AtomicI64);

impl Hands {
    fn pass_days(&self, days: i64) {
        self.0.fetch_add(days * DAY, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store in a directory, and whoever seals its log.
struct Rig {
    access: Access,
    store: Arc<dyn Store>,
    clock: Arc<Hands>,
    home: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let home = TempDir::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&home.path().join("certs.db")).unwrap());
        let clock = Arc::new(Hands(AtomicI64::new(1_800_000_000_000)));
        let backend: Arc<dyn SigningBackend> = Arc::new(EphemeralBackend::default());
        let key_stores = KeyStores::new(Guard::new(Arc::new(NoObserver)), [("local".to_owned(), backend)]);
        let authority = Authority::open(
            authority::Config::new("example.org".parse().unwrap()),
            store.clone(),
            Arc::new(key_stores),
            clock.clone(),
            Arc::new(authority::NoObserver),
        )
        .await
        .unwrap();
        let own = Workload::new(authority.trust_domain(), ServiceType::Auth, "auth-1".parse().unwrap());
        let config = Config {
            own: own.unwrap(),
            domains: Vec::new(),
            dev: false,
            bootstrap_ttl: Duration::from_secs(60),
        };
        let access = Access::new(config, store.clone(), clock.clone(), Policies::built_in().unwrap());
        access.open(authority.token_key().await.unwrap()).await.unwrap();
        Self { access, store, clock, home }
    }

    async fn write(&self, count: usize) {
        let entry = |number| AuditEntry {
            action: "identity.denied".to_owned(),
            subject: format!("s{number} \"quoted\"\nand more"),
            detail: "{}".to_owned(),
        };
        let entries: Vec<_> = (0..count).map(entry).collect();
        let stamp = Stamp { at: self.clock.now(), by: Actor::System };
        self.store.append_audit(&entries, &stamp).await.unwrap();
    }

    async fn records(&self) -> Vec<AuditRecord> {
        self.store.audit(&AuditQuery { limit: u32::MAX, ..AuditQuery::default() }).await.unwrap()
    }

    /// The sealed files by name, whole ones and others.
    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.home.path().join(SEALED_DIRECTORY)) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    async fn is_intact(&self) {
        let head = self.store.audit_head().await.unwrap();
        assert_eq!(self.store.verify_audit().await.unwrap(), AuditVerdict::Intact(head));
    }

    async fn seal_everything(&self) -> usize {
        let mut sealed = 0;
        while self.access.seal_audit(self.home.path()).await.unwrap().is_some() {
            sealed += 1;
        }
        sealed
    }

    /// Follows the chain of a file from what was before it, and checks its signature with nothing but the file and the
    /// published keys.
    fn examine(&self, file: &PathBuf, before: AuditHead) -> AuditHead {
        let text = fs::read_to_string(file).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let end = lines.pop().unwrap();
        let mut head = before;
        for line in &lines {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            let hash = |name: &str| unhex(&text(name)).unwrap().try_into().unwrap();
            let record = AuditRecord {
                seq: line["seq"].as_i64().unwrap(),
                at: Timestamp::from_millis(line["at"].as_i64().unwrap()),
                actor: text("actor"),
                action: text("action"),
                subject: text("subject"),
                detail: text("detail"),
                prev_hash: hash("prevHash"),
                hash: hash("hash"),
            };
            assert_eq!((record.seq, record.prev_hash), (head.seq + 1, head.hash));
            assert_eq!(record.computed_hash(), record.hash);
            head = record.head();
        }
        assert_eq!(
            (end["seq"].as_i64(), end["hash"].as_str()),
            (Some(head.seq), Some(&*crate::identity::hex(&head.hash)))
        );
        let jwks = self.access.jwks().unwrap();
        let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == end["kid"]).unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
        let point = [vec![4], part(&jwk["x"]), part(&jwk["y"])].concat();
        let at = Timestamp::from_millis(end["at"].as_i64().unwrap());
        let signature = part(&end["signature"]);
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point);
        key.verify(&head_octets(head, at), &signature).unwrap();
        head
    }
}

#[tokio::test]
async fn what_is_older_than_thirty_days_goes_into_files_that_stand_for_themselves() {
    let rig = Rig::new().await;
    let first = rig.records().await.len();
    rig.write(10).await;
    assert_eq!(rig.seal_everything().await, 0, "nothing is old yet");
    rig.clock.pass_days(30);
    assert_eq!(rig.seal_everything().await, 0, "30 days are not more than 30 days");
    rig.write(5).await;
    rig.clock.pass_days(1);
    let sealed = rig.access.seal_audit(rig.home.path()).await.unwrap().unwrap();
    assert_eq!(sealed.head.seq as usize, first + 10);
    assert_eq!(rig.store.audit_base().await.unwrap(), sealed.head);
    rig.is_intact().await;
    assert_eq!(rig.seal_everything().await, 0);
    rig.clock.pass_days(40);
    assert_eq!(rig.seal_everything().await, 1);
    rig.is_intact().await;
    // One chain through both files, and on into the store.
    let files = rig.files();
    assert_eq!(files.len(), 2);
    let end = rig.examine(&files[1], rig.examine(&files[0], AuditHead::default()));
    assert_eq!(rig.store.audit_base().await.unwrap(), end);
    assert_eq!(rig.records().await[0].prev_hash, end.hash);
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let directory = fs::metadata(rig.home.path().join(SEALED_DIRECTORY)).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_long_log_goes_in_pieces() {
    let rig = Rig::new().await;
    for _ in 0..4 {
        rig.write(3_000).await;
    }
    rig.clock.pass_days(31);
    assert_eq!(rig.seal_everything().await, 3);
    let mut end = AuditHead::default();
    for file in rig.files() {
        end = rig.examine(&file, end);
    }
    assert_eq!(rig.store.audit_base().await.unwrap(), end);
    rig.is_intact().await;
}

#[tokio::test]
async fn a_crash_between_the_file_and_the_drop_costs_nothing() {
    let rig = Rig::new().await;
    rig.write(10).await;
    rig.clock.pass_days(31);
    let before = rig.records().await;
    let other = rusqlite::Connection::open(rig.home.path().join("certs.db")).unwrap();
    other
        .execute_batch("CREATE TRIGGER no BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    rig.access.seal_audit(rig.home.path()).await.unwrap_err();
    assert_eq!(rig.files().len(), 1, "the file was written first");
    assert_eq!((rig.records().await, rig.store.audit_base().await.unwrap()), (before, AuditHead::default()));
    other.execute_batch("DROP TRIGGER no").unwrap();
    assert_eq!(rig.seal_everything().await, 1);
    let files = rig.files();
    assert_eq!(files.len(), 1, "the same file was written again");
    assert_eq!(rig.examine(&files[0], AuditHead::default()), rig.store.audit_base().await.unwrap());
    rig.is_intact().await;
}

#[tokio::test]
async fn a_file_in_whose_place_another_was_written_is_put_aside() {
    let rig = Rig::new().await;
    rig.write(10).await;
    rig.clock.pass_days(1);
    rig.write(10).await;
    rig.clock.pass_days(30);
    let other = rusqlite::Connection::open(rig.home.path().join("certs.db")).unwrap();
    other
        .execute_batch("CREATE TRIGGER no BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    rig.access.seal_audit(rig.home.path()).await.unwrap_err();
    other.execute_batch("DROP TRIGGER no").unwrap();
    rig.clock.pass_days(1);
    assert_eq!(rig.seal_everything().await, 1);
    // The file of before is a beginning of the one that counts, and put aside.
    let (aside, files): (Vec<_>, Vec<_>) = rig
        .files()
        .into_iter()
        .partition(|file| file.extension().is_some_and(|ending| ending == "superseded"));
    assert_eq!((aside.len(), files.len()), (1, 1));
    assert_eq!(rig.examine(&files[0], AuditHead::default()), rig.store.audit_base().await.unwrap());
    rig.is_intact().await;
}

#[tokio::test]
async fn nothing_is_dropped_that_could_not_be_written_down() {
    let rig = Rig::new().await;
    rig.write(10).await;
    rig.clock.pass_days(31);
    let before = rig.records().await;
    // In the place of the directory lies something else; root may write everywhere.
    let in_the_way = rig.home.path().join(SEALED_DIRECTORY);
    fs::write(&in_the_way, "").unwrap();
    let error = rig.access.seal_audit(rig.home.path()).await.unwrap_err();
    assert!(matches!(&error, AccessError::File { path, .. } if path.starts_with(&in_the_way)), "{error}");
    assert_eq!((rig.records().await, rig.store.audit_base().await.unwrap()), (before, AuditHead::default()));
    fs::remove_file(&in_the_way).unwrap();
    assert_eq!(rig.seal_everything().await, 1);
    rig.is_intact().await;
}

#[tokio::test]
async fn a_clock_that_went_back_leaves_no_gap() {
    let rig = Rig::new().await;
    let first = rig.records().await.len();
    rig.write(3).await;
    rig.clock.pass_days(20);
    rig.write(1).await;
    rig.clock.pass_days(-20);
    rig.write(3).await;
    rig.clock.pass_days(31);
    assert_eq!(rig.seal_everything().await, 1);
    // Up to the one that is not due; those after it wait for it.
    assert_eq!(rig.store.audit_base().await.unwrap().seq as usize, first + 3);
    rig.clock.pass_days(20);
    assert!(rig.seal_everything().await > 0);
    rig.is_intact().await;
}

#[tokio::test]
async fn sealed_files_go_after_four_hundred_days() {
    let rig = Rig::new().await;
    rig.write(10).await;
    rig.clock.pass_days(31);
    rig.seal_everything().await;
    let drop_old = async || rig.access.drop_old_seals(rig.home.path()).await.unwrap();
    rig.clock.pass_days(400 - 31);
    assert_eq!((drop_old().await, rig.files().len()), (0, 1));
    rig.clock.pass_days(1);
    assert_eq!((drop_old().await, rig.files().len()), (1, 0));
    rig.is_intact().await;
}

#[test]
fn denials_are_counted_apart_up_to_a_measure() {
    use crate::access::{Action, Caller, Credential, Facts, PrincipalKind};
    let denials = Denials::default();
    let caller = |jti: &str| Caller {
        actor: Actor::Token { subject: "a".to_owned(), jti: jti.to_owned() },
        facts: Arc::new(Facts {
            kind: PrincipalKind::User,
            cedar_id: "a".to_owned(),
            sub: "a".to_owned(),
            id: "a".to_owned(),
            name: "a".to_owned(),
            entity_type: "user".to_owned(),
            node_id: None,
            spiffe_id: None,
            trusted_nodes: Vec::new(),
            trusted_domains: Vec::new(),
        }),
        credential: Credential::Token { expires: None, is_bound: false },
    };
    assert!(denials.count(&caller("1"), Action::CaRead));
    assert!(!denials.count(&caller("1"), Action::CaRead));
    assert!(denials.count(&caller("1"), Action::CaManage));
    let first = (0..5_000).filter(|n| denials.count(&caller(&n.to_string()), Action::AuditRead)).count();
    assert!(first <= 1_000, "{first} kinds are told apart");
}
