//! The CA as a library, with a clock that the test sets and keys in memory.

use catalyst_local::EphemeralBackend;
use catalyst_pki::{
    authority::{Authority, Config, Gauges, InitRequest, IssueRequest, Observer, Svid, x509::VerifiedCsr},
    identity::{Actor, CaRole, Clock, Serial, Timestamp, TrustDomain, Ttl, Workload},
    store::{CrlPublication, SqliteStore, Store},
};
use catalyst_signing::{Guard, KeyStores, NoObserver, SigningBackend};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use x509_cert::{crl::CertificateList, der::Decode as _};

/// Shows what it was set to.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Relaxed))
    }
}

/// Counts the rounds of upkeep that came to their end.
#[derive(Debug)]
struct Rounds(Semaphore);

impl Observer for Rounds {
    fn certificate_issued(&self, _: &'static str, _: &'static str, _: &str) {}
    fn csr_signed(&self, _: Duration) {}
    fn purged(&self, _: u64) {}
    fn gauges(&self, _: &Gauges) {
        self.0.add_permits(1);
    }
}

/// A store, keys and a clock, over several lives of the authority.
pub(crate) struct Library {
    pub(crate) store: Arc<dyn Store>,
    backend: EphemeralBackend,
    clock: Arc<SetClock>,
}

impl Library {
    /// In memory, on a day in 2026.
    pub(crate) fn new() -> Self {
        Self {
            store: Arc::new(SqliteStore::in_memory().unwrap()),
            backend: EphemeralBackend::new(),
            clock: Arc::new(SetClock(AtomicI64::new(1_780_000_000_000))),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn set(&self, at: Timestamp) {
        self.clock.0.store(at.millis(), Relaxed);
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Relaxed);
    }

    /// A life of the authority, without upkeep.
    pub(crate) async fn open(&self) -> Arc<Authority> {
        self.open_with(Arc::new(Rounds(Semaphore::new(0)))).await
    }

    async fn open_with(&self, observer: Arc<dyn Observer>) -> Arc<Authority> {
        let mut config = Config::new("catalyst.example.com".parse::<TrustDomain>().unwrap());
        config.issue_limit = None;
        let local: Arc<dyn SigningBackend> = Arc::new(self.backend.clone());
        let guard = Guard::new(Arc::new(NoObserver));
        let key_stores = Arc::new(KeyStores::new(guard, [("local".to_owned(), local)]));
        Authority::open(config, self.store.clone(), key_stores, self.clock.clone(), observer).await.unwrap()
    }

    pub(crate) async fn initialized(&self) -> Arc<Authority> {
        let authority = self.open().await;
        authority.initialize(InitRequest::default(), Actor::Service).await.unwrap();
        authority
    }

    /// A restart: the authority after its first round of upkeep.
    pub(crate) async fn restarted(&self) -> Arc<Authority> {
        let rounds = Arc::new(Rounds(Semaphore::new(0)));
        let authority = self.open_with(rounds.clone()).await;
        authority.start();
        drop(rounds.0.acquire().await.unwrap());
        authority
    }
}

/// A request for this identity, with a key of its own.
pub(crate) fn request(spiffe_id: &str, ttl: i64) -> IssueRequest {
    let csr = VerifiedCsr::from_pem(&crate::deployment::csr(spiffe_id)).unwrap();
    IssueRequest {
        csr,
        workload: workload(spiffe_id),
        ttl: Some(Ttl::try_from(ttl).unwrap()),
        uri_may_be_missing: false,
        ticket: None,
    }
}

pub(crate) fn workload(spiffe_id: &str) -> Workload {
    Workload::of(&"catalyst.example.com".parse().unwrap(), spiffe_id.parse().unwrap()).unwrap()
}

pub(crate) async fn issue(
    authority: &Arc<Authority>,
    request: &IssueRequest,
) -> catalyst_pki::authority::Result<Svid> {
    authority.issue(request.clone(), Actor::System).await
}

/// The CRL that is served for a role.
pub(crate) fn published(authority: &Arc<Authority>, role: CaRole) -> CrlPublication {
    authority.crl_of_role(role).unwrap().published.clone().unwrap()
}

/// The serial numbers on a CRL.
pub(crate) fn serials_on(crl: &[u8]) -> BTreeSet<Serial> {
    let crl: CertificateList = CertificateList::from_der(crl).unwrap();
    let revoked = crl.tbs_cert_list.revoked_certificates.into_iter().flatten();
    revoked.map(|entry| Serial::try_from(entry.serial_number.as_bytes()).unwrap()).collect()
}
