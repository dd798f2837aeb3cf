//! A whole CA in memory, for other people's tests.

use crate::{
    authority::{Authority, Config, InitRequest, IssueRequest, NoObserver, Result, Svid, x509::VerifiedCsr},
    identity::{Actor, SystemClock, TrustDomain, Workload},
    store::{SqliteStore, StoreError},
};
use catalyst_local::EphemeralBackend;
use catalyst_signing::{Guard, KeyStores, SigningBackend};
use std::sync::Arc;

/// A root, a services and a transport CA with real keys, real checks and real certificates, and no file anywhere. It
/// is gone when it is dropped.
///
/// ```
/// use catalyst_pki::{EphemeralCa, identity::{ServiceType, Workload}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ca = EphemeralCa::new("example.org".parse()?).await?;
/// let gateway = Workload::new(ca.trust_domain(), ServiceType::Gateway, "gateway-a".parse()?)?;
///
/// let (key_pem, svid) = ca.issue(gateway).await?;
/// assert!(key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
/// assert!(svid.certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
/// assert_eq!(svid.chain.len(), 2); // the services CA, then the root
///
/// let trust_anchors = ca.bundle_pem()?; // for the verifier under test
/// assert_eq!(trust_anchors.matches("BEGIN CERTIFICATE").count(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EphemeralCa {
    authority: Arc<Authority>,
}

impl EphemeralCa {
    /// Makes the three CAs. Needs a tokio runtime.
    ///
    /// # Errors
    /// None that a test would want to handle: memory or random numbers ran out.
    pub async fn new(trust_domain: TrustDomain) -> Result<Self> {
        let mut config = Config::new(trust_domain);
        config.issue_limit = None;
        let store = tokio::task::spawn_blocking(SqliteStore::in_memory)
            .await
            .map_err(|error| StoreError::Storage(error.to_string()))??;
        let keys: Arc<dyn SigningBackend> = Arc::new(EphemeralBackend::new());
        let key_stores =
            KeyStores::new(Guard::new(Arc::new(catalyst_signing::NoObserver)), [("local".to_owned(), keys)]);
        let authority = Authority::open(
            config,
            Arc::new(store),
            Arc::new(key_stores),
            Arc::new(SystemClock),
            Arc::new(NoObserver),
        )
        .await?;
        authority.initialize(InitRequest::default(), Actor::Service).await?;
        Ok(Self { authority })
    }

    /// The CA itself: deny list, CRLs, status and the rest.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        self.authority.trust_domain()
    }

    /// A key (PKCS#8, PEM) and a certificate for an identity.
    ///
    /// # Errors
    /// The identity is denied, or one of its names belongs to another.
    pub async fn issue(&self, workload: Workload) -> Result<(String, Svid)> {
        let (key, svid) = self.authority.issue_with_new_key(workload, None, None, Actor::Service).await?;
        Ok((key.to_string(), svid))
    }

    /// A certificate for a CSR (PEM).
    ///
    /// # Errors
    /// Whatever a real CA would refuse.
    pub async fn sign_csr(&self, csr_pem: &str, workload: Workload) -> Result<Svid> {
        let csr = VerifiedCsr::from_pem(csr_pem)?;
        let request = IssueRequest { csr, workload, ttl: None, uri_may_be_missing: false, ticket: None };
        self.authority.issue(request, Actor::Service).await
    }

    /// The root and both intermediates, PEM.
    ///
    /// # Errors
    /// None after [`EphemeralCa::new`].
    pub fn bundle_pem(&self) -> Result<String> {
        Ok(self.authority.bundle()?.pem())
    }
}
