//! The certificate that the service itself shows to its clients.

use super::{Authority, IssueRequest, Result, Svid, x509::VerifiedCsr};
use crate::{
    identity::{Actor, DnsName, Serial, Workload},
    store::CertificateStatus,
};
use std::{net::IpAddr, sync::Arc};
use tokio::{sync::watch, time::Instant};

/// What an operator adds to the names of the service's own certificate, and of no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNames {
    /// Owned by the service's instance id from then on, but for `localhost`, which is nobody's. One that another
    /// instance owns is left out with a warning.
    pub dns_names: Vec<DnsName>,
    /// The only IP addresses that an SVID of this CA ever has.
    pub ip_addresses: Vec<IpAddr>,
}

/// Whether a certificate may go on being shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known against it.
    Good,
    /// It was revoked, or its identity was denied.
    Revoked,
    /// The CA that issued it is revoked, retired or expired: verifiers have dropped it.
    IssuerGone,
}

impl Authority {
    /// Issues a certificate to the service itself. The per-identity limit does not count here: a service that
    /// restarts often must not lose its HTTPS.
    ///
    /// # Errors
    /// As [`Authority::issue`]; nothing is logged of them, for the caller tries again.
    pub async fn issue_own(
        self: &Arc<Self>,
        workload: Workload,
        spki: Vec<u8>,
        names: &OwnNames,
    ) -> Result<Svid> {
        let csr = VerifiedCsr::of_own_key(spki);
        let request = IssueRequest { csr, workload, ttl: None, uri_may_be_missing: true, ticket: None };
        let deadline = Instant::now() + self.config.signing_deadline;
        self.issue_once_more(request, Some(names), Actor::Service, deadline).await
    }

    /// Whether a certificate of this CA may go on being shown. One that was purged is long expired, and good here.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn standing(&self, serial: Serial) -> Result<Standing> {
        let at = self.clock.now();
        let Some(row) = self.store.certificate(serial, at).await? else { return Ok(Standing::Good) };
        if matches!(row.status, CertificateStatus::Held | CertificateStatus::Revoked) {
            return Ok(Standing::Revoked);
        }
        let state = self.state.load();
        let issuer = state.hierarchy().cas.iter().find(|ca| ca.certificate.serial == row.issuer_serial);
        let live = issuer.is_some_and(|ca| ca.is_live(at));
        Ok(if live { Standing::Good } else { Standing::IssuerGone })
    }

    /// Tells of every change of the hierarchy from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
