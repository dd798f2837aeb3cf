//! One CA certificate: its bytes committed, linted, signed by the root or by themselves.

use super::{
    Authority, Result,
    error::AuthorityError,
    issuance::BACKDATE_SECONDS,
    issuer::Issuer,
    recovery::MayIssue,
    x509::{self, CaCertificate, CaContent, Signer},
};
use crate::{
    identity::{CaRole, Serial, Timestamp},
    store::{CaIntention, KeyRow, SignedCa, Stamp},
};
use catalyst_signing::Purpose;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const DAY_SECONDS: i64 = 86_400;
/// What an intermediate gets unless more or less is asked for.
pub(super) const INTERMEDIATE_DAYS: u32 = 730;
/// A CA needs twice the longest SVID lifetime to issue at all.
const SHORTEST_CA_DAYS: u32 = 3;
const LONGEST_CA_DAYS: u32 = 36_500;
/// How long one CA certificate may take, its key included: an HSM makes RSA keys for minutes.
const CEREMONY_DEADLINE: Duration = Duration::from_secs(300);

/// What a CA certificate is to be, beside its key.
pub(super) struct Ceremony<'a> {
    pub(super) role: CaRole,
    pub(super) generation: u32,
    pub(super) common_name: &'a str,
    pub(super) ttl_days: u32,
}

impl Authority {
    /// One CA certificate: TBS bytes committed, then signed by the root, or by itself for a root.
    pub(super) async fn sign_ca(
        &self,
        _: &MayIssue,
        ceremony: &Ceremony<'_>,
        key: &KeyRow,
        root: Option<&Arc<Issuer>>,
        stamp: &Stamp,
    ) -> Result<(SignedCa, Arc<Issuer>)> {
        let deadline = Instant::now() + CEREMONY_DEADLINE;
        let own_key = self.keys.open(key, ceremony.common_name, deadline).await?;
        let signing_key = root.map_or(&own_key, |root| root.key());
        let issuer_certificate = root.map(|root| root.certificate());
        let spki = own_key.pin().spki.clone();
        let not_after = stamp.at.plus_seconds(i64::from(ceremony.ttl_days) * DAY_SECONDS).whole_seconds();
        let content = CaContent {
            serial: Serial::random().map_err(|error| AuthorityError::Internal(error.to_string()))?,
            common_name: ceremony.common_name,
            spki: &spki,
            path_length: u8::from(ceremony.role == CaRole::Root),
            not_before: stamp.at.plus_seconds(-BACKDATE_SECONDS).whole_seconds(),
            not_after: issuer_certificate.map_or(not_after, |root| not_after.min(root.not_after())),
        };
        let signer = Signer { pin: signing_key.pin(), certificate: issuer_certificate };
        let intention = CaIntention {
            role: ceremony.role,
            generation: ceremony.generation,
            serial: content.serial,
            tbs: x509::ca_tbs(signer, &content)?,
        };
        // Before it is committed: what is meant is meant for good, and what is never signed would bar its role.
        x509::lint_ca(&intention.tbs, &content, issuer_certificate, signing_key.pin())?;
        let committed = self.store.intend_ca(&intention, stamp).await?;
        // Meant before a crash: the same bytes are signed, and held against the profile as they are.
        let meant = x509::meant(&committed.tbs)?;
        let content = CaContent {
            serial: committed.serial,
            common_name: &meant.common_name,
            not_before: meant.not_before,
            not_after: meant.not_after,
            ..content
        };
        if committed != intention {
            tracing::warn!(target: "catalyst.pki", ca_name = meant.common_name, expires_at = %meant.not_after,
                "An earlier CA certificate was begun — it is finished as it was meant");
            x509::lint_ca(&committed.tbs, &content, issuer_certificate, signing_key.pin())?;
        }
        let verified = signing_key.sign(Purpose::Certificate, committed.tbs, deadline).await?;
        let der = x509::frame(&verified)?;
        let certificate = CaCertificate::from_der(&der)?;
        let issuer_certificate = issuer_certificate.unwrap_or(&certificate);
        let signed = SignedCa {
            role: ceremony.role,
            generation: ceremony.generation,
            ski: certificate.key_id(),
            issuer: issuer_certificate.key_id(),
            issuer_serial: issuer_certificate.serial(),
            serial: certificate.serial(),
            common_name: meant.common_name.clone(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            der,
        };
        let issuer = Issuer::new(ceremony.role, &meant.common_name, certificate, own_key)?;
        Ok((signed, Arc::new(issuer)))
    }

    /// Opens the root for one operation.
    pub(super) async fn open_root(&self, at: Timestamp) -> Result<Issuer> {
        let state = self.state.load();
        let roots = state
            .hierarchy()
            .cas
            .iter()
            .filter(|row| row.certificate.role == CaRole::Root && row.is_live(at));
        let root =
            roots.max_by_key(|row| row.certificate.generation).ok_or(AuthorityError::NotInitialized)?;
        Ok(Issuer::open(&self.keys, root).await?)
    }
}

pub(super) fn checked_name(name: String) -> Result<String> {
    let trimmed = name.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 64 || trimmed.chars().any(char::is_control) {
        return Err(AuthorityError::Invalid(
            "a CA's common name has 1 to 64 characters, none of them a control character".into(),
        ));
    }
    Ok(trimmed.to_owned())
}

/// Letters of either case and runs of spaces are the same in names (RFC 5280, 7.1).
pub(super) fn same_name(one: &str, other: &str) -> bool {
    let folded = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    folded(one) == folded(other)
}

pub(super) fn checked_days(days: u32) -> Result<u32> {
    if (SHORTEST_CA_DAYS..=LONGEST_CA_DAYS).contains(&days) {
        return Ok(days);
    }
    Err(AuthorityError::Invalid(format!(
        "a CA lives {SHORTEST_CA_DAYS} to {LONGEST_CA_DAYS} days, not {days}"
    )))
}

pub(super) fn log_made(ca: &SignedCa, issuer: &Issuer, root: Option<&Arc<Issuer>>) {
    let fingerprint = issuer.certificate().fingerprint();
    let signed_by = root.map(|root| root.certificate().fingerprint().to_string());
    match ca.role {
        CaRole::Root => {
            let days = (ca.not_after.seconds_since(ca.not_before) - BACKDATE_SECONDS) / DAY_SECONDS;
            let validity =
                if days % 365 == 0 { format!("{} years", days / 365) } else { format!("{days} days") };
            tracing::info!(target: "catalyst.pki", fingerprint = %fingerprint, cn = ca.common_name,
                algorithm = issuer.key().pin().algorithm.name(), validity, "Root CA generated");
        }
        CaRole::Services => {
            tracing::info!(target: "catalyst.pki", fingerprint = %fingerprint, cn = ca.common_name,
            signed_by, "Services CA generated")
        }
        CaRole::Transport => {
            tracing::info!(target: "catalyst.pki", fingerprint = %fingerprint, cn = ca.common_name,
            signed_by, "Transport CA generated")
        }
    }
}
