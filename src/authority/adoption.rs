//! Certificates of ours that a restored store does not know: issued after the copy was made that it came from. Whoever
//! holds one goes on renewing it.

use super::{
    Authority,
    names::is_nobodys,
    x509::{self, IssuedSvid},
};
use crate::{
    identity::{Actor, Workload},
    store::{
        AdoptOutcome, AdoptRefusal, CaRow, CertificateRow, IssuanceRecord, Result, SignedCertificate, Stamp,
    },
};

impl Authority {
    /// Records a certificate (DER) that is not in the store, if a live CA of ours has signed it in the time that a restore
    /// has lost, and nothing speaks against it; `None` if not. The caller has seen that somebody holds its key.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn adopt(&self, der: &[u8]) -> Result<Option<CertificateRow>> {
        let at = self.clock.now();
        let Some(restoration) = self.restoration.load_full() else { return Ok(None) };
        let Ok(svid) = IssuedSvid::from_der(der) else { return Ok(None) };
        // Looked at again in the store's step; here so that a stranger's certificate costs no more than reading it.
        if !restoration.window(at).contains(&svid.not_before) {
            return Ok(None);
        }
        let Some((workload, issuer)) = self.ours(&svid, der) else { return Ok(None) };
        let stamp =
            Stamp { at, by: Actor::Svid { spiffe_id: workload.spiffe_id().clone(), serial: svid.serial } };
        let record = record(svid, &workload, &issuer);
        match self.store.adopt_certificate(SignedCertificate::new(der.to_vec(), record), &stamp).await? {
            AdoptOutcome::Adopted(row) => {
                tracing::info!(target: "catalyst.pki", spiffe_id = %workload.spiffe_id(), serial = %row.serial,
                    fingerprint = %row.fingerprint, "Certificate adopted — it was issued after the backup");
                Ok(Some(*row))
            }
            AdoptOutcome::Known(row) => Ok(Some(*row)),
            AdoptOutcome::Refused(refusal) => {
                log(&workload, &refusal);
                Ok(None)
            }
        }
    }

    /// Whose certificate it is, and the CA that has signed it.
    fn ours(&self, svid: &IssuedSvid, der: &[u8]) -> Option<(Workload, CaRow)> {
        let workload = Workload::of(&self.config.trust_domain, svid.spiffe_id.clone()).ok()?;
        let issuer = self.state.load().ca(svid.issuer).cloned()?;
        // Each network's certificates come from its own CA.
        let is_right = issuer.certificate.role == workload.service_type().issuing_role();
        (is_right && x509::check_svid(der, &issuer.certificate.der).is_ok()).then_some((workload, issuer))
    }
}

fn record(svid: IssuedSvid, workload: &Workload, issuer: &CaRow) -> IssuanceRecord {
    IssuanceRecord {
        serial: svid.serial,
        spiffe_id: svid.spiffe_id,
        instance_id: workload.instance_id().clone(),
        common_name: svid.common_name,
        issuer: issuer.certificate.ski,
        issuer_serial: issuer.certificate.serial,
        spki: svid.spki,
        not_before: svid.not_before,
        not_after: svid.not_after,
        owned_names: svid.dns_names.into_iter().filter(|name| !is_nobodys(name)).collect(),
        limit: None,
        ticket: None,
    }
}

fn log(workload: &Workload, refusal: &AdoptRefusal) {
    tracing::warn!(target: "catalyst.pki", spiffe_id = %workload.spiffe_id(), reason = %refusal,
        "Certificate not adopted — its holder has to bootstrap anew");
}
