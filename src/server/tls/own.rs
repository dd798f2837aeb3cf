//! The service's own SVID: had from its own CA, renewed at half-life, given up when it must not be shown any more.

use super::{Failure, Shown, self_signed::SelfSigned};
use crate::{
    authority::{Authority, OwnNames, Standing, Svid},
    identity::{Serial, Timestamp, Workload},
};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often the certificate that is shown is held against what the CA knows.
const CHECK: Duration = Duration::from_secs(5);
/// After a failure it is tried again this soon, then after twice that, and so on …
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// … up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// An SVID that is shown.
#[derive(Debug)]
struct Current {
    serial: Serial,
    expires_at: Timestamp,
    renew_after: Timestamp,
}

/// Keeps the service's own SVID.
#[derive(Debug)]
pub(super) struct Own {
    shown: Arc<Shown>,
    authority: Arc<Authority>,
    workload: Workload,
    names: OwnNames,
    self_signed: SelfSigned,
    /// `None` while the self-signed certificate is shown.
    current: Option<Current>,
    /// Not before then, unless something changes.
    retry: Option<(Instant, Duration)>,
    /// The last failure's code, so that each is told once.
    failure: Option<String>,
}

impl Own {
    pub(super) fn new(
        shown: Arc<Shown>,
        authority: Arc<Authority>,
        workload: Workload,
        names: OwnNames,
        self_signed: SelfSigned,
    ) -> Self {
        self_signed.announce();
        Self { shown, authority, workload, names, self_signed, current: None, retry: None, failure: None }
    }

    /// Looks after it for ever.
    pub(super) async fn keep(mut self) {
        let mut changes = self.authority.changes();
        loop {
            self.look_after().await;
            tokio::select! {
                () = tokio::time::sleep(self.pause()) => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // The CA that was missing may be there now.
                    self.retry = None;
                }
            }
        }
    }

    /// Until something is due.
    fn pause(&self) -> Duration {
        let now = self.authority.clock().now();
        let due = self.current.as_ref().map(|current| {
            let next = if current.renew_after > now { current.renew_after } else { current.expires_at };
            Duration::from_millis(u64::try_from(next.millis() - now.millis()).unwrap_or(0))
        });
        let retry = self.retry.map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let soonest = [due, retry].into_iter().flatten().fold(CHECK, Duration::min);
        soonest.max(Duration::from_millis(50))
    }

    async fn look_after(&mut self) {
        let now = self.authority.clock().now();
        self.renew_self_signed(now);
        if self.current.as_ref().is_some_and(|current| current.expires_at <= now) {
            // Before the next attempt, which may wait for a key store: no client takes this one any more.
            self.fall_back("the service's SVID has expired");
        }
        let lost = self.lost().await;
        let due = lost.is_some() || self.current.as_ref().is_none_or(|current| current.renew_after <= now);
        let waits = self.retry.is_some_and(|(at, _)| Instant::now() < at);
        // What must not be shown any more is replaced at once, whatever failed before.
        if due && self.authority.is_initialized() && (!waits || lost.is_some()) {
            match self.issue().await {
                Ok(()) => return,
                Err(error) => self.failed(error.as_ref()),
            }
        }
        if let Some(reason) = lost {
            self.fall_back(reason);
        }
    }

    fn fall_back(&mut self, reason: &str) {
        self.current = None;
        self.shown.show(self.self_signed.key().clone());
        self.self_signed.announce_instead(reason);
    }

    /// Why the SVID must not be shown any more, though it has not expired.
    async fn lost(&self) -> Option<&'static str> {
        let current = self.current.as_ref()?;
        match self.authority.standing(current.serial).await {
            Ok(Standing::Good) => None,
            Ok(Standing::Revoked) => {
                tracing::error!(target: "catalyst.pki", serial = %current.serial, spiffe_id = %self.workload.spiffe_id(),
                    "The service's own SVID was revoked, or its identity denied");
                Some("the service's SVID was revoked, or its identity denied")
            }
            Ok(Standing::IssuerGone) => {
                Some("the CA that issued the service's SVID is revoked, retired or expired")
            }
            Err(error) => {
                tracing::warn!(target: "catalyst.pki", error = %error, "State of the service's own SVID not read");
                None
            }
        }
    }

    async fn issue(&mut self) -> Result<(), Failure> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        let svid =
            self.authority.issue_own(self.workload.clone(), spki.as_ref().to_vec(), &self.names).await?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.to_pkcs8v1()?.as_ref().to_vec()));
        self.shown.show(Arc::new(CertifiedKey::from_der(chain(&svid)?, key, &super::provider())?));
        tracing::info!(target: "catalyst.pki", fingerprint = %svid.fingerprint, serial = %svid.serial,
            spiffe_id = %self.workload.spiffe_id(), expires_at = %svid.expires_at, renew_after = %svid.renew_after,
            "Serving the service's own SVID");
        let Svid { serial, expires_at, renew_after, .. } = svid;
        self.current = Some(Current { serial, expires_at, renew_after });
        (self.retry, self.failure) = (None, None);
        Ok(())
    }

    fn failed(&mut self, error: &(dyn std::error::Error + Send + Sync)) {
        let wait = self.retry.map_or(FIRST_RETRY, |(_, last)| (last * 2).min(LONGEST_RETRY));
        self.retry = Some((Instant::now() + wait, wait));
        let failure = error.to_string();
        if self.failure.as_ref() != Some(&failure) {
            tracing::warn!(target: "catalyst.pki", error = %failure, spiffe_id = %self.workload.spiffe_id(),
                "No SVID for the service itself — tried again");
            self.failure = Some(failure);
        }
    }

    /// A service that waits for its CA for weeks.
    fn renew_self_signed(&mut self, now: Timestamp) {
        match self.self_signed.successor(now) {
            None => {}
            Some(Ok(next)) => {
                self.self_signed = next;
                if self.current.is_none() {
                    self.shown.show(self.self_signed.key().clone());
                    self.self_signed.announce_instead("the one before was near its end");
                }
            }
            Some(Err(error)) => {
                tracing::error!(target: "catalyst.pki", error = %error, "Self-signed certificate not made again");
            }
        }
    }
}

/// What the handshake carries: the certificate and its issuer. Clients have the root, or would not believe it
/// (RFC 8446, 4.4.2).
fn chain(svid: &Svid) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let above = svid.chain.split_last().map_or(&[][..], |(_root, above)| above);
    let pems = std::iter::once(&svid.certificate_pem).chain(above);
    Ok(pems.map(|pem| CertificateDer::from_pem_slice(pem.as_bytes())).collect::<Result<_, _>>()?)
}
