//! The store in one SQLite file.

mod audit;
mod ca;
mod crl;
mod deny;
mod deployment;
mod fault;
mod file;
mod issue;
mod key;
mod list;
mod reader;
mod secret;
mod step;
#[cfg(test)]
mod tests;
mod ticket;
mod token;
mod writer;

use super::{
    AllowOutcome, AuditEntry, AuditHead, AuditQuery, AuditRecord, AuditVerdict, CaIntention,
    CertificateQuery, CertificateRow, CrlPublication, CrlReservation, CrlRow, DataDirLock, Denial,
    DenyOutcome, Deployment, Hierarchy, InitPlan, IssuanceLimit, KeyIntention, KeyRole, KeyRow, MadeKey,
    Preflight, PresetSecret, RecordOutcome, Result, RevocationReason, SignedCa, SignedCertificate, Stamp,
    Store, StoreError, Summary, Ticket, TokenQuery, TokenRecord, TokenRow, TokenSelector,
};
use crate::identity::{DnsName, Fingerprint, InstanceId, KeyId, Serial, SpiffeId, SpkiHash, Timestamp};
use fault::Outcome;
use reader::{Question, Readers};
use rusqlite::Connection;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};
use step::Step;
use tokio::sync::{mpsc, oneshot};
use writer::{Task, Writer};

/// Callers beyond this many wait for room in the queue.
const QUEUE: usize = 1024;

/// A [`Store`] in a SQLite file or in memory.
///
/// Dropping it finishes what is queued, like [`Store::close`], but holds up the thread that drops it.
pub struct SqliteStore {
    path: String,
    // Taken when the store is dropped, so that the threads see the end of their queues.
    writer: Option<mpsc::Sender<Task>>,
    // None in memory, where one connection does both.
    readers: Option<Readers>,
    reader_threads: Mutex<Vec<JoinHandle<()>>>,
    writer_thread: Mutex<Vec<JoinHandle<()>>>,
    // Raised by the writer.
    revocations: Arc<AtomicU64>,
}

impl SqliteStore {
    /// Opens the database at `path`, or makes it (0600), and takes the lock on its directory.
    ///
    /// # Errors
    /// Another process holds the directory, it is on a network file system, the file is another program's, damaged,
    /// from a newer version or can't be written.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_locked(path, DataDirLock::acquire(&file::directory_of(path))?)
    }

    /// Like [`SqliteStore::open`] for a caller that holds the directory's lock already.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_locked(path: &Path, lock: DataDirLock) -> Result<Self> {
        let mut store = Self::start(file::open_writer(path)?, path.display().to_string(), Some(lock))?;
        let (readers, threads) = reader::start(path, QUEUE)?;
        store.readers = Some(readers);
        store.reader_threads = Mutex::new(threads);
        Ok(store)
    }

    /// A store that lasts as long as the value.
    ///
    /// # Errors
    /// No memory, or no random numbers for the deployment id.
    pub fn in_memory() -> Result<Self> {
        Self::start(file::open_in_memory()?, ":memory:".to_owned(), None)
    }

    fn start(connection: Connection, path: String, lock: Option<DataDirLock>) -> Result<Self> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let revocations = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(connection, path.clone(), revocations.clone(), lock)?;
        let thread = reader::spawn("store-write", move || writer.run(queue))?;
        Ok(Self {
            path,
            writer: Some(sender),
            readers: None,
            reader_threads: Mutex::default(),
            writer_thread: Mutex::new(vec![thread]),
            revocations,
        })
    }

    /// Runs a step in the writer's next commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Step<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(writer::call(work, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Asks a reader.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(self.readers.as_ref().map(|readers| &readers.any), work).await
    }

    /// Asks the reader that never reads long. Its answer waits for no commit.
    async fn read_short<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(self.readers.as_ref().map(|readers| &readers.short), work).await
    }

    /// In memory there are no readers: the writer answers between two commits.
    async fn ask<T: Send + 'static>(
        &self,
        reader: Option<&mpsc::Sender<Question>>,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let path = self.path.clone();
        let ask: reader::Ask = Box::new(move |connection| {
            // A caller that has gone no longer wants to know.
            let _ = reply.send(work(connection).map_err(|fault| fault.into_store_error(&path)));
        });
        match reader {
            Some(reader) => reader.send(Question::Ask(ask)).await.map_err(|_| StoreError::Closed)?,
            None => self.send(Task::Read(ask)).await?,
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, task: Task) -> Result<()> {
        let writer = self.writer.as_ref().ok_or(StoreError::Closed)?;
        writer.send(task).await.map_err(|_| StoreError::Closed)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers = None;
        join(&self.reader_threads);
        // Last, as it holds the directory's lock.
        self.writer = None;
        join(&self.writer_thread);
    }
}

/// Waits for threads whose queue has ended.
fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    for thread in take(threads) {
        // A thread that panicked has said so already.
        let _ = thread.join();
    }
}

/// Waits like [`join`] without holding up the runtime.
async fn join_aside(threads: &Mutex<Vec<JoinHandle<()>>>) -> Result<()> {
    let threads = Mutex::new(take(threads));
    let joined = tokio::task::spawn_blocking(move || join(&threads)).await;
    joined.map_err(|error| StoreError::Storage(error.to_string()))
}

fn take(threads: &Mutex<Vec<JoinHandle<()>>>) -> Vec<JoinHandle<()>> {
    std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner))
}

#[async_trait::async_trait]
impl Store for SqliteStore {
    async fn deployment(&self) -> Result<Deployment> {
        self.read(deployment::deployment).await
    }

    async fn newest_time(&self) -> Result<Timestamp> {
        self.read(deployment::newest_time).await
    }

    async fn begin_initialization(&self, plan: &InitPlan, stamp: &Stamp) -> Result<InitPlan> {
        let (plan, stamp) = (plan.clone(), stamp.clone());
        self.write(move |step| deployment::begin_initialization(step, &plan, &stamp)).await
    }

    async fn hierarchy(&self) -> Result<Hierarchy> {
        self.read(ca::hierarchy).await
    }

    async fn intend_key(&self, key: &KeyIntention, stamp: &Stamp) -> Result<KeyRow> {
        let (key, stamp) = (key.clone(), stamp.clone());
        self.write(move |step| key::intend(step, &key, &stamp)).await
    }

    async fn record_key_made(
        &self,
        role: KeyRole,
        generation: u32,
        made: &MadeKey,
        stamp: &Stamp,
    ) -> Result<KeyRow> {
        let (made, stamp) = (made.clone(), stamp.clone());
        self.write(move |step| key::record_made(step, role, generation, &made, &stamp)).await
    }

    async fn activate_token_key(
        &self,
        generation: u32,
        grace_until: Timestamp,
        system_token: Option<&TokenRecord>,
        stamp: &Stamp,
    ) -> Result<u64> {
        let (system_token, stamp) = (system_token.cloned(), stamp.clone());
        self.write(move |step| {
            key::activate_token(step, generation, grace_until, system_token.as_ref(), &stamp)
        })
        .await
    }

    async fn intend_ca(&self, ca: &CaIntention, stamp: &Stamp) -> Result<CaIntention> {
        let (ca, stamp) = (ca.clone(), stamp.clone());
        self.write(move |step| key::intend_ca(step, &ca, &stamp)).await
    }

    async fn complete_initialization(&self, cas: &[SignedCa], stamp: &Stamp) -> Result<()> {
        let (cas, stamp) = (cas.to_vec(), stamp.clone());
        self.write(move |step| ca::complete_initialization(step, &cas, &stamp)).await
    }

    async fn record_intermediate(&self, ca: &SignedCa, stamp: &Stamp) -> Result<()> {
        let (ca, stamp) = (ca.clone(), stamp.clone());
        self.write(move |step| ca::record_intermediate(step, &ca, &stamp)).await
    }

    async fn activate_ca(&self, ca: KeyId, stamp: &Stamp) -> Result<()> {
        let stamp = stamp.clone();
        self.write(move |step| ca::activate(step, ca, &stamp)).await
    }

    async fn repin_ca(
        &self,
        ca: KeyId,
        backend: &str,
        reference: &str,
        made: &MadeKey,
        stamp: &Stamp,
    ) -> Result<()> {
        let (backend, reference) = (backend.to_owned(), reference.to_owned());
        let (made, stamp) = (made.clone(), stamp.clone());
        self.write(move |step| ca::repin(step, ca, &backend, &reference, &made, &stamp)).await
    }

    async fn retire_ca(&self, ca: KeyId, stamp: &Stamp) -> Result<()> {
        let stamp = stamp.clone();
        self.write(move |step| ca::retire(step, ca, &stamp)).await
    }

    async fn revoke_ca(&self, ca: KeyId, reason: RevocationReason, stamp: &Stamp) -> Result<()> {
        let stamp = stamp.clone();
        self.write(move |step| ca::revoke(step, ca, reason, &stamp)).await
    }

    async fn refresh_bundle(&self, at: Timestamp) -> Result<bool> {
        self.write(move |step| deployment::refresh_bundle(step, at)).await
    }

    async fn preflight(
        &self,
        spiffe_id: &SpiffeId,
        spki: SpkiHash,
        names: &[DnsName],
        limit: Option<IssuanceLimit>,
        ticket: Option<&Ticket>,
        at: Timestamp,
    ) -> Result<Preflight> {
        let (spiffe_id, names, ticket) = (spiffe_id.clone(), names.to_vec(), ticket.cloned());
        self.read_short(move |connection| {
            issue::preflight(connection, &spiffe_id, spki, &names, limit, ticket.as_ref(), at)
        })
        .await
    }

    async fn record_issued(&self, certificate: SignedCertificate, stamp: &Stamp) -> Result<RecordOutcome> {
        let stamp = stamp.clone();
        let certificate = Arc::new(certificate);
        let lent = Arc::clone(&certificate);
        let decision = self.write(move |step| issue::record(step, &lent, &stamp)).await?;
        Ok(decision.after_commit(certificate))
    }

    async fn certificates(&self, query: &CertificateQuery, at: Timestamp) -> Result<Vec<CertificateRow>> {
        let query = query.clone();
        self.read(move |connection| list::certificates(connection, &query, at)).await
    }

    async fn certificate(&self, serial: Serial, at: Timestamp) -> Result<Option<CertificateRow>> {
        self.read(move |connection| list::by_serial(connection, serial, at)).await
    }

    async fn certificate_by_fingerprint(
        &self,
        fingerprint: Fingerprint,
        at: Timestamp,
    ) -> Result<Option<CertificateRow>> {
        self.read(move |connection| list::by_fingerprint(connection, fingerprint, at)).await
    }

    async fn summary(&self, at: Timestamp) -> Result<Summary> {
        self.read(move |connection| list::summary(connection, at)).await
    }

    async fn purge_expired(&self, before: Timestamp, limit: u32, stamp: &Stamp) -> Result<u64> {
        let stamp = stamp.clone();
        self.write(move |step| list::purge_expired(step, before, limit, &stamp)).await
    }

    async fn name_owner(&self, name: &DnsName) -> Result<Option<InstanceId>> {
        let name = name.clone();
        self.read(move |connection| issue::name_owner(connection, &name)).await
    }

    async fn release_name(&self, name: &DnsName, stamp: &Stamp) -> Result<bool> {
        let (name, stamp) = (name.clone(), stamp.clone());
        self.write(move |step| issue::release_name(step, &name, &stamp)).await
    }

    async fn deny_identity(
        &self,
        spiffe_id: &SpiffeId,
        reason: &str,
        compromised: bool,
        stamp: &Stamp,
    ) -> Result<DenyOutcome> {
        let (spiffe_id, reason, stamp) = (spiffe_id.clone(), reason.to_owned(), stamp.clone());
        self.write(move |step| deny::deny(step, &spiffe_id, &reason, compromised, &stamp)).await
    }

    async fn allow_identity(&self, spiffe_id: &SpiffeId, stamp: &Stamp) -> Result<AllowOutcome> {
        let (spiffe_id, stamp) = (spiffe_id.clone(), stamp.clone());
        self.write(move |step| deny::allow(step, &spiffe_id, &stamp)).await
    }

    async fn denied_identities(&self) -> Result<Vec<Denial>> {
        self.read(deny::list).await
    }

    async fn revoke_certificate(
        &self,
        serial: Serial,
        reason: RevocationReason,
        stamp: &Stamp,
    ) -> Result<Option<KeyId>> {
        let stamp = stamp.clone();
        self.write(move |step| deny::revoke_certificate(step, serial, reason, &stamp)).await
    }

    async fn reserve_crl(&self, issuer: KeyId, stamp: &Stamp) -> Result<CrlReservation> {
        let stamp = stamp.clone();
        self.write(move |step| crl::reserve(step, issuer, &stamp)).await
    }

    async fn publish_crl(&self, crl: &CrlPublication, stamp: &Stamp) -> Result<bool> {
        let (crl, stamp) = (crl.clone(), stamp.clone());
        self.write(move |step| crl::publish(step, &crl, &stamp)).await
    }

    async fn crls(&self) -> Result<Vec<CrlRow>> {
        self.read(crl::list).await
    }

    async fn record_token(&self, token: &TokenRecord, stamp: &Stamp) -> Result<()> {
        let (token, stamp) = (token.clone(), stamp.clone());
        self.write(move |step| token::record(step, &token, &stamp)).await
    }

    async fn token(&self, jti: &str) -> Result<Option<TokenRecord>> {
        let jti = jti.to_owned();
        self.read(move |connection| token::get(connection, &jti)).await
    }

    async fn tokens(&self, query: &TokenQuery) -> Result<Vec<TokenRow>> {
        let query = query.clone();
        self.read(move |connection| token::list(connection, &query)).await
    }

    async fn revoke_tokens(&self, which: &TokenSelector, stamp: &Stamp) -> Result<Vec<TokenRecord>> {
        let (which, stamp) = (which.clone(), stamp.clone());
        self.write(move |step| token::revoke(step, &which, &stamp)).await
    }

    async fn revoked_tokens(&self, at: Timestamp) -> Result<Vec<String>> {
        self.read(move |connection| token::revoked(connection, at)).await
    }

    async fn purge_tokens(&self, before: Timestamp, limit: u32) -> Result<u64> {
        self.write(move |step| token::purge(step, before, limit)).await
    }

    async fn preset_secret(&self, kind: &str, sha256: &[u8; 32], stamp: &Stamp) -> Result<PresetSecret> {
        let (kind, sha256, stamp) = (kind.to_owned(), *sha256, stamp.clone());
        self.write(move |step| secret::seen(step, &kind, &sha256, &stamp)).await
    }

    async fn revoke_preset_secret(&self, kind: &str, sha256: &[u8; 32], stamp: &Stamp) -> Result<bool> {
        let (kind, sha256, stamp) = (kind.to_owned(), *sha256, stamp.clone());
        self.write(move |step| secret::revoke(step, &kind, &sha256, &stamp)).await
    }

    fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>> {
        let mut search = audit::Search::new(query.clone());
        while !search.done {
            // In pieces, as below.
            search = self.read(move |connection| audit::search_some(connection, search)).await?;
        }
        Ok(search.found)
    }

    async fn append_audit(&self, entries: &[AuditEntry], stamp: &Stamp) -> Result<()> {
        let (entries, stamp) = (entries.to_vec(), stamp.clone());
        self.write(move |step| audit::append(step, &entries, &stamp)).await
    }

    async fn policies_in_force(&self, hash: &str, stamp: &Stamp) -> Result<bool> {
        let (hash, stamp) = (hash.to_owned(), stamp.clone());
        self.write(move |step| deployment::policies_in_force(step, &hash, &stamp)).await
    }

    async fn audit_base(&self) -> Result<AuditHead> {
        self.read(audit::base).await
    }

    async fn drop_sealed_audit(&self, sealed: AuditHead, name: &str, stamp: &Stamp) -> Result<()> {
        let (name, stamp) = (name.to_owned(), stamp.clone());
        self.write(move |step| audit::drop_sealed(step, sealed, &name, &stamp)).await
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        self.read(audit::head).await
    }

    async fn verify_audit(&self) -> Result<AuditVerdict> {
        let mut check = audit::Check::default();
        loop {
            // In pieces: one long look would keep the write-ahead log from being folded into the file.
            check = self.read(move |connection| audit::verify_some(connection, check)).await?;
            if let Some(verdict) = check.verdict {
                return Ok(verdict);
            }
        }
    }

    async fn close(&self) -> Result<()> {
        // A queue that is closed already is what this wants.
        if let Some(readers) = &self.readers {
            let _ = readers.any.send(Question::Stop).await;
            let _ = readers.short.send(Question::Stop).await;
        }
        join_aside(&self.reader_threads).await?;
        // Last, as it holds the directory's lock.
        let _ = self.send(Task::Stop).await;
        join_aside(&self.writer_thread).await
    }
}
