//! The file and its directory: made, opened again, refused.

use super::{in_file, place};
use crate::store::{
    AuditVerdict, CertificateQuery, DataDirLock, SqliteStore, StoreError,
    conformance::fixture::{World, at, stamp},
};
use rusqlite::Connection;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn refusal(path: &Path) -> StoreError {
    SqliteStore::open(path).map(|_| ()).unwrap_err()
}

fn damage(path: &Path) -> String {
    match refusal(path) {
        StoreError::Damaged { reason, path: named } => {
            assert_eq!(named, path.display().to_string());
            reason
        }
        other => panic!("{other}"),
    }
}

/// A store with one certificate in it, closed.
async fn filled(path: &Path) {
    let store = in_file(path);
    World::new(store.as_ref()).await.issue("n1", 1).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_was_recorded_is_there_when_it_is_opened_again() {
    let (_dir, path) = place();
    let store = in_file(&path);
    let world = World::new(store.as_ref()).await;
    let issued = world.issue("n1", 1).await.record().serial;
    store
        .deny_identity(&"spiffe://td.example/node/n1".parse().unwrap(), "out", false, &stamp(2))
        .await
        .unwrap();
    let before = (
        store.deployment().await.unwrap(),
        store.hierarchy().await.unwrap().cas,
        store.certificate(issued, at(3)).await.unwrap(),
        store.crls().await.unwrap(),
        store.audit_head().await.unwrap(),
        store.summary(at(3)).await.unwrap(),
    );
    store.close().await.unwrap();
    drop(store);
    assert!(!path.with_file_name("certs.db-wal").exists(), "closing folds the log into the file");
    let store = in_file(&path);
    let after = (
        store.deployment().await.unwrap(),
        store.hierarchy().await.unwrap().cas,
        store.certificate(issued, at(3)).await.unwrap(),
        store.crls().await.unwrap(),
        store.audit_head().await.unwrap(),
        store.summary(at(3)).await.unwrap(),
    );
    assert_eq!(after, before);
    assert_eq!(store.newest_time().await.unwrap(), at(2));
}

#[tokio::test]
async fn a_copy_taken_under_the_feet_of_a_running_store_is_recovered_from_its_log() {
    let (_dir, path) = place();
    let store = in_file(&path);
    let world = World::new(store.as_ref()).await;
    for when in 0..50 {
        world.issue("n1", when).await;
    }
    // What a power cut leaves: the file and a log that nobody folded in.
    let after = path.with_file_name("after");
    fs::create_dir(&after).unwrap();
    for name in ["certs.db", "certs.db-wal"] {
        fs::copy(path.with_file_name(name), after.join(name)).unwrap();
    }
    assert!(fs::metadata(after.join("certs.db-wal")).unwrap().len() > 0);
    let store = in_file(&after.join("certs.db"));
    let query = CertificateQuery { limit: 100, ..Default::default() };
    assert_eq!(store.certificates(&query, at(50)).await.unwrap().len(), 53);
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(_)));
    World { store: store.as_ref(), ..world }.issue("n1", 51).await;
}

#[test]
fn the_file_is_its_owners_alone() {
    let (_dir, path) = place();
    let path = path.with_file_name("data").join("certs.db");
    let _store = SqliteStore::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_file_name("certs.db-wal")), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn a_second_opener_is_told_who_was_first() {
    let (_dir, path) = place();
    let first = SqliteStore::open(&path).unwrap();
    match refusal(&path) {
        StoreError::Locked { holder, .. } => assert!(holder.contains(&std::process::id().to_string())),
        other => panic!("{other}"),
    }
    drop(first);
    let lock = DataDirLock::acquire(path.parent().unwrap()).unwrap();
    assert!(matches!(refusal(&path), StoreError::Locked { .. }));
    SqliteStore::open_locked(&path, lock).unwrap();
}

#[test]
fn another_process_that_holds_the_directory_is_respected() {
    let (dir, path) = place();
    fs::write(dir.path().join("catalyst.lock"), "process 4711 (catalyst)\n").unwrap();
    let mut holder = std::process::Command::new("flock")
        .arg(dir.path().join("catalyst.lock"))
        .args(["-c", "echo held; read line"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut held = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut held).unwrap();
    match refusal(&path) {
        StoreError::Locked { holder, .. } => assert_eq!(holder, "process 4711 (catalyst)"),
        other => panic!("{other}"),
    }
    drop(holder.stdin.take());
    holder.wait().unwrap();
    SqliteStore::open(&path).unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let (_dir, path) = place();
    filled(&path).await;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = StoreError::NewerSchema { path: path.display().to_string(), found: 99, known: 3 };
    assert_eq!(refusal(&path), newer);
    let version: i64 =
        Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_refused() {
    for keep in [0, 50, 4096, 20_000] {
        let (_dir, path) = place();
        filled(&path).await;
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
        let reason = damage(&path);
        assert!(reason.contains("cut off") || reason.contains("too short"), "{keep}: {reason}");
        assert_eq!(fs::metadata(&path).unwrap().len(), keep, "nothing is written into it");
    }
}

#[tokio::test]
async fn a_file_of_garbage_is_refused() {
    let (_dir, path) = place();
    fs::write(&path, "no database\n".repeat(1000)).unwrap();
    assert!(damage(&path).contains("no SQLite database"));
    // A whole header before garbage passes the first look, not the second.
    filled(&path.with_file_name("whole.db")).await;
    let mut bytes = fs::read(path.with_file_name("whole.db")).unwrap();
    bytes[100..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    damage(&path);
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let (_dir, path) = place();
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1);").unwrap();
    drop(foreign);
    let before = fs::read(&path).unwrap();
    assert!(damage(&path).contains("another program"));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!path.with_file_name("certs.db-wal").exists());
}

#[tokio::test]
async fn a_log_without_its_file_is_not_overwritten() {
    let (_dir, path) = place();
    filled(&path).await;
    fs::rename(&path, path.with_file_name("moved.db")).unwrap();
    fs::write(path.with_file_name("certs.db-wal"), "what was committed last").unwrap();
    assert!(damage(&path).contains("certs.db-wal"));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_start_that_was_cut_short_is_begun_anew() {
    let (_dir, path) = place();
    fs::write(path.with_file_name("certs.db.new"), "half").unwrap();
    fs::write(path.with_file_name("certs.db.new-journal"), "half").unwrap();
    filled(&path).await;
    assert!(!path.with_file_name("certs.db.new").exists());
}

/// As root every file can be written, so the test runs itself again as nobody.
#[test]
fn what_cannot_be_written_is_refused_with_the_reason() {
    const INNER: &str = "CATALYST_TEST_READ_ONLY_DIR";
    if let Some(dir) = std::env::var_os(INNER) {
        let dir = Path::new(&dir);
        for path in [dir.join("file/certs.db"), dir.join("dir/certs.db"), dir.join("dir/new/certs.db")] {
            match refusal(&path) {
                StoreError::ReadOnly { reason } => {
                    assert!(reason.contains("denied") || reason.contains("write"))
                }
                other => panic!("{}: {other}", path.display()),
            }
        }
        return;
    }
    // Under the system's directory for temporary files, which everybody can reach.
    let dir = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    for name in ["file", "dir"] {
        drop(SqliteStore::open(&dir.path().join(name).join("certs.db")).unwrap());
    }
    let mode = |path: &str, mode| {
        fs::set_permissions(dir.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("file", 0o777);
    mode("file/certs.db", 0o444);
    mode("file/catalyst.lock", 0o666);
    mode("dir", 0o555);
    mode("dir/catalyst.lock", 0o444);
    let copy = dir.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut again = std::process::Command::new(&copy);
    again.args(["--exact", "store::sqlite::tests::files::what_cannot_be_written_is_refused_with_the_reason"]);
    again.env(INNER, dir.path()).current_dir("/");
    if rustix::process::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        again.uid(65_534).gid(65_534);
    }
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
