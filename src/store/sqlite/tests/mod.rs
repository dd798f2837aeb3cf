//! What is true of the SQLite store beyond the contract of every store.

mod chain;
mod copy;
mod files;
mod full;
mod migration;
mod plans;
mod reopened;
mod replay;
mod restore;
mod schema;
mod search;
mod standing;

use super::SqliteStore;
use crate::{
    identity::Timestamp,
    store::{Store, conformance},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tempfile::TempDir;

fn in_memory() -> Arc<dyn Store> {
    Arc::new(SqliteStore::in_memory().unwrap())
}

fn in_file(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path).unwrap())
}

/// One that came out of a backup of this moment, and waits to be confirmed.
async fn restored(snapshot_at: Timestamp, restored_at: Timestamp) -> Arc<dyn Store> {
    let store = SqliteStore::in_memory().unwrap();
    let sql = "INSERT INTO restoration (snapshot_at, restored_at) VALUES (?1, ?2)";
    let (snapshot_at, restored_at) = (snapshot_at.millis(), restored_at.millis());
    store.write(move |step| step.execute(sql, (snapshot_at, restored_at))).await.unwrap();
    Arc::new(store)
}

/// A directory for a database, and the database's path in it.
fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("certs.db");
    (dir, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_it_keeps_the_contract() {
    conformance::run_all(async || in_memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restored_one_keeps_the_contract_of_adoption() {
    conformance::adoption::run(restored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_file_it_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    let next = || dir.path().join(format!("{}/certs.db", count.fetch_add(1, Ordering::Relaxed)));
    conformance::run_all(async || in_file(&next())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_times_a_certificate_is_refused_or_on_the_list() {
    conformance::together::a_certificate_is_refused_or_on_the_list(in_memory(), 10_000).await;
}
