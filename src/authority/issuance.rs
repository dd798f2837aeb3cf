//! A request to a certificate that may leave. Each step is moved into the next, so none is skipped or repeated:
//! [`VerifiedCsr`] → [`PreparedCertificate`] → `SignedCertificate` → `IssuedCertificate`.

use super::{
    Authority, Result,
    error::AuthorityError,
    finishing::Finishing,
    issuer::Issuer,
    names,
    own::OwnNames,
    recovery::MayIssue,
    x509::{self, Signer, SvidContent, VerifiedCsr},
};
use crate::{
    identity::{Actor, CaRole, DnsName, Fingerprint, Serial, SpkiHash, Timestamp, Ttl, Workload},
    store::{
        CertificateRow, IssuanceLimit, IssuanceRecord, IssuedCertificate, Preflight, RecordOutcome,
        SignedCertificate, Stamp, Ticket,
    },
};
use catalyst_signing::Purpose;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

/// notBefore lies this many seconds back, for clocks that are a little behind.
pub(super) const BACKDATE_SECONDS: i64 = 60;
/// How far the clock may be behind the newest record.
pub(super) const CLOCK_TOLERANCE_SECONDS: i64 = 300;

/// What is asked of the CA.
#[derive(Clone, Debug)]
pub struct IssueRequest {
    /// The proven key and the names asked for.
    pub csr: VerifiedCsr,
    /// For whom.
    pub workload: Workload,
    /// How long; the configured lifetime when nothing is said.
    pub ttl: Option<Ttl>,
    /// The caller may name the identity of a CSR that carries no URI.
    pub uri_may_be_missing: bool,
    /// What using changes, if the request rests on such a thing.
    pub ticket: Option<Ticket>,
}

/// A certificate and what its holder needs with it.
#[derive(Clone, Debug)]
pub struct Svid {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Issuing CA, then root; PEM.
    pub chain: Vec<String>,
    /// End of validity.
    pub expires_at: Timestamp,
    /// When to ask for the next: half-life, ±10 %, drawn for this certificate.
    pub renew_after: Timestamp,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Fingerprint,
    /// Its serial number.
    pub serial: Serial,
}

/// Linted bytes and the CA that will sign them. Not `Clone`: one preparation, one signature.
pub(crate) struct PreparedCertificate {
    issuer: Arc<Issuer>,
    tbs: Vec<u8>,
    record: IssuanceRecord,
}

impl PreparedCertificate {
    /// Signs with the issuer it was prepared for. No key is passed in: verification after signing would not prove
    /// that the right CA signed.
    async fn sign(self, _: MayIssue, deadline: Instant) -> Result<SignedCertificate> {
        let verified = self.issuer.key().sign(Purpose::Certificate, self.tbs, deadline).await?;
        Ok(SignedCertificate::new(x509::frame(&verified)?, self.record))
    }
}

impl Authority {
    /// Reads a CSR (PEM) and checks its proof of possession. A refusal is logged as every other is.
    ///
    /// # Errors
    /// [`AuthorityError::Csr`].
    pub fn verify_csr(&self, pem: &str) -> Result<VerifiedCsr> {
        VerifiedCsr::from_pem(pem).map_err(AuthorityError::Csr).inspect_err(log_refusal)
    }

    /// Issues an SVID.
    ///
    /// From signing on this runs to its end: dropping the future leaves a recorded certificate or none.
    ///
    /// # Errors
    /// See [`AuthorityError`]; a refused request has used up nothing.
    pub async fn issue(self: &Arc<Self>, request: IssueRequest, by: Actor) -> Result<Svid> {
        let started = Instant::now();
        let deadline = started + self.config.signing_deadline;
        let issued = self.issue_once_more(request, None, by, deadline).await;
        match &issued {
            Ok(_) => self.observer.csr_signed(started.elapsed()),
            Err(error) => log_refusal(error),
        }
        issued
    }

    /// What was true before signing may have changed when the record is made: an alias is another's now, or another
    /// CA issues. Then once more, with what is true now; of another CA the store knows a moment before this process does.
    pub(super) async fn issue_once_more(
        self: &Arc<Self>,
        request: IssueRequest,
        own: Option<&OwnNames>,
        by: Actor,
        deadline: Instant,
    ) -> Result<Svid> {
        let mut changed = self.changed.subscribe();
        let mut answer = self.attempt(&request, own, &by, deadline).await;
        if matches!(&answer, Err(AuthorityError::NameTaken { name, .. }) if !asked_for(&request, name)) {
            answer = self.attempt(&request, own, &by, deadline).await;
        }
        while let Err(AuthorityError::NoIssuer(role)) = &answer
            && self.state.load().active(*role).is_ok()
            && let Ok(Ok(())) = timeout_at(deadline, changed.changed()).await
        {
            answer = self.attempt(&request, own, &by, deadline).await;
        }
        answer
    }

    /// `own` is given for the service's own certificate, which has names of its own and no limit.
    async fn attempt(
        self: &Arc<Self>,
        request: &IssueRequest,
        own: Option<&OwnNames>,
        by: &Actor,
        deadline: Instant,
    ) -> Result<Svid> {
        let permit = self.may_issue()?;
        check_uri(request)?;
        let stamp = Stamp { at: self.clock.now(), by: by.clone() };
        let role = request.workload.service_type().issuing_role();
        let issuer = self.active_issuer(role, stamp.at, deadline).await?;
        let mut wanted = names::wanted(request, &self.config.dns_patterns)?;
        if let Some(own) = own {
            wanted = wanted.with_own(own);
        }
        let spki = SpkiHash::of_spki(request.csr.spki());
        let limit = self.config.issue_limit.filter(|_| own.is_none());
        let limit = limit.map(|count| IssuanceLimit { count, since: self.limit_since(stamp.at) });
        let preflight = self
            .store
            .preflight(
                request.workload.spiffe_id(),
                spki,
                wanted.owned(),
                limit,
                request.ticket.as_ref(),
                stamp.at,
            )
            .await?;
        self.refuse_early(&preflight, stamp.at)?;
        if let Some(before) = &preflight.issued_before {
            return self.hand_out_again(before, stamp.at);
        }
        if preflight.holds_certificate && warns_of_existing(request) {
            tracing::warn!(target: "catalyst.pki", spiffe_id = %request.workload.spiffe_id(),
                "Bootstrap credential used for an identity that holds a certificate — refused outside --dev");
        }
        let names = wanted.settle(request.workload.instance_id(), &preflight.owners)?;
        let addresses = own.map_or(&[][..], |own| &own.ip_addresses);
        let prepared = self.prepare(&issuer, request, (&names, addresses), spki, limit, stamp.at)?;
        let authority = self.clone();
        let finish = async move { authority.finish(issuer, prepared, permit, stamp, deadline).await };
        Finishing::new(&self.tasks, finish.in_current_span()).await
    }

    /// The CA that issues for a role, if it has long enough to live.
    async fn active_issuer(&self, role: CaRole, at: Timestamp, deadline: Instant) -> Result<Arc<Issuer>> {
        let slot = self.state.load().active(role)?;
        let issuer = slot.issuer(deadline).await?;
        let not_after = issuer.certificate().not_after();
        if not_after.seconds_since(at) < 2 * Ttl::MAX.seconds() {
            tracing::error!(target: "catalyst.pki", critical = true, ca_name = issuer.common_name(), expires_at = %not_after,
                "CA certificate too close to its end to issue");
            return Err(AuthorityError::CaExpiring { role, not_after });
        }
        Ok(issuer)
    }

    fn limit_since(&self, at: Timestamp) -> Timestamp {
        at.plus_seconds(-self.config.svid_ttl.seconds() / 2)
    }

    fn limit_reached(&self, oldest: Timestamp, at: Timestamp) -> AuthorityError {
        let free_at = oldest.plus_seconds(self.config.svid_ttl.seconds() / 2);
        let wait = u64::try_from(free_at.seconds_since(at) + 1).unwrap_or(1).max(1);
        AuthorityError::LimitReached { retry_after: Duration::from_secs(wait) }
    }

    fn refuse_early(&self, preflight: &Preflight, at: Timestamp) -> Result<()> {
        if let Some(denial) = &preflight.denied {
            return Err(AuthorityError::Denied(denial.clone()));
        }
        if let Some(refusal) = preflight.ticket_refused {
            return Err(AuthorityError::Ticket(refusal));
        }
        if preflight.issued_before.is_some() {
            return Ok(());
        }
        if let Some(refusal) = &preflight.key {
            return Err(AuthorityError::Key(refusal.clone()));
        }
        if let Some(oldest) = preflight.limit_reached {
            return Err(self.limit_reached(oldest, at));
        }
        check_clock(preflight.newest, at)
    }

    fn prepare(
        &self,
        issuer: &Arc<Issuer>,
        request: &IssueRequest,
        (names, ip_addresses): (&names::Settled, &[IpAddr]),
        spki: SpkiHash,
        limit: Option<IssuanceLimit>,
        at: Timestamp,
    ) -> Result<PreparedCertificate> {
        let certificate = issuer.certificate();
        let ttl = request.ttl.unwrap_or(self.config.svid_ttl);
        let instance = request.workload.instance_id();
        let content = SvidContent {
            serial: Serial::random().map_err(|error| AuthorityError::Internal(error.to_string()))?,
            spiffe_id: request.workload.spiffe_id(),
            common_name: Some(instance.as_str()).filter(|name| name.len() <= 64),
            dns_names: &names.all,
            ip_addresses,
            spki: request.csr.spki(),
            not_before: at.plus_seconds(-BACKDATE_SECONDS).whole_seconds().max(certificate.not_before()),
            not_after: at.plus_seconds(ttl.seconds()).whole_seconds().min(certificate.not_after()),
        };
        let signer = Signer { pin: issuer.key().pin(), certificate: Some(certificate) };
        let tbs = x509::svid_tbs(signer, &content)?;
        x509::lint_svid(&tbs, &content, certificate, issuer.key().pin())?;
        let record = IssuanceRecord {
            serial: content.serial,
            spiffe_id: content.spiffe_id.clone(),
            instance_id: instance.clone(),
            common_name: content.common_name.map(str::to_owned),
            issuer: certificate.key_id(),
            issuer_serial: certificate.serial(),
            spki,
            not_before: content.not_before,
            not_after: content.not_after,
            owned_names: names.owned.clone(),
            limit,
            ticket: request.ticket.clone(),
        };
        Ok(PreparedCertificate { issuer: issuer.clone(), tbs, record })
    }

    /// Signs and records; runs to its end whether anybody waits for the answer or not.
    async fn finish(
        &self,
        issuer: Arc<Issuer>,
        prepared: PreparedCertificate,
        permit: MayIssue,
        stamp: Stamp,
        deadline: Instant,
    ) -> Result<Svid> {
        let signed = prepared.sign(permit, deadline).await?;
        match self.store.record_issued(signed, &stamp).await? {
            RecordOutcome::Recorded(issued) => self.hand_out(&issuer, &issued, stamp.at),
            RecordOutcome::Denied(denial) => Err(AuthorityError::Denied(denial)),
            RecordOutcome::NameTaken { name, owner } => {
                Err(AuthorityError::NameTaken { name, owner: owner.to_string() })
            }
            RecordOutcome::KeyRefused(refusal) => Err(AuthorityError::Key(refusal)),
            RecordOutcome::TicketRefused(refusal) => Err(AuthorityError::Ticket(refusal)),
            RecordOutcome::IssuedBefore(before) => self.hand_out_again(&before, stamp.at),
            RecordOutcome::IssuerGone => Err(AuthorityError::NoIssuer(issuer.role())),
            RecordOutcome::LimitReached { oldest } => Err(self.limit_reached(oldest, stamp.at)),
            RecordOutcome::ClockBehind { newest } => {
                Err(AuthorityError::ClockBehind { now: stamp.at, newest })
            }
        }
    }

    /// The certificate that a bootstrap credential has brought for the same key before: its answer was lost. Its
    /// chain is that of the CA that signed it, which need not be the one that signs now.
    fn hand_out_again(&self, row: &CertificateRow, at: Timestamp) -> Result<Svid> {
        tracing::info!(target: "catalyst.pki", fingerprint = %row.fingerprint, serial = %row.serial,
            "Certificate handed out again for the same bootstrap credential and key");
        Ok(Svid {
            certificate_pem: row.certificate_pem.clone(),
            chain: self.state.load().chain_of_serial(row.issuer_serial)?,
            expires_at: row.not_after,
            renew_after: renew_after(at, row.not_after)?,
            fingerprint: row.fingerprint,
            serial: row.serial,
        })
    }

    fn hand_out(&self, issuer: &Issuer, issued: &IssuedCertificate, at: Timestamp) -> Result<Svid> {
        let record = issued.record();
        let algorithm = issuer.key().pin().algorithm.name();
        tracing::info!(
            target: "catalyst.pki",
            fingerprint = %issued.fingerprint(),
            spiffe_id = %record.spiffe_id,
            ttl_seconds = record.not_after.seconds_since(at.whole_seconds()),
            issuer = issuer.common_name(),
            algorithm,
            "Certificate issued"
        );
        self.observer.certificate_issued("end-entity", algorithm, issuer.common_name());
        Ok(Svid {
            certificate_pem: x509::certificate_pem(issued.der())?,
            chain: self.state.load().chain_of(issuer.certificate())?,
            expires_at: record.not_after,
            renew_after: renew_after(at, record.not_after)?,
            fingerprint: issued.fingerprint(),
            serial: record.serial,
        })
    }
}

/// A clock that went back would date certificates wrongly, and let denials lie in the future.
pub(super) fn check_clock(newest: Option<Timestamp>, now: Timestamp) -> Result<()> {
    match newest {
        Some(newest) if newest.seconds_since(now) > CLOCK_TOLERANCE_SECONDS => {
            Err(AuthorityError::ClockBehind { now, newest })
        }
        _ => Ok(()),
    }
}

/// Half of what is left, ±10 % of it, so that certificates issued together are not renewed together.
fn renew_after(at: Timestamp, not_after: Timestamp) -> Result<Timestamp> {
    let mut random = [0; 4];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| AuthorityError::Internal("no random numbers".into()))?;
    let half = (not_after.millis() - at.millis()) / 2;
    let tenth = half / 10;
    let jitter = tenth * 2 * i64::from(u32::from_be_bytes(random)) / i64::from(u32::MAX) - tenth;
    Ok(Timestamp::from_millis(at.millis() + half + jitter))
}

fn warns_of_existing(request: &IssueRequest) -> bool {
    matches!(&request.ticket, Some(Ticket::Bootstrap(bootstrap)) if bootstrap.warn_existing)
}

/// A CSR names exactly the identity that is asked for.
fn check_uri(request: &IssueRequest) -> Result<()> {
    let expected = request.workload.spiffe_id().as_str();
    match request.csr.uris() {
        [uri] if uri == expected => Ok(()),
        [uri] => {
            // A request may hold 16 KiB of it, and the log repeats the error.
            let found = uri.chars().take(300).collect();
            Err(AuthorityError::UriMismatch { found, expected: expected.to_owned() })
        }
        [] if request.uri_may_be_missing => Ok(()),
        [] => Err(AuthorityError::UriMissing(expected.to_owned())),
        many => Err(AuthorityError::UriMany(many.len())),
    }
}

fn asked_for(request: &IssueRequest, name: &DnsName) -> bool {
    request.csr.dns_names().iter().any(|asked| asked == name.as_str())
}

fn log_refusal(error: &AuthorityError) {
    match error {
        AuthorityError::Denied(denial) => tracing::warn!(
            target: "catalyst.pki",
            spiffe_id = %denial.spiffe_id,
            reason = denial.reason,
            denied_at = %denial.denied_at,
            "CSR signing denied — identity is on the deny list"
        ),
        ours if ours.is_ours() => {
            tracing::error!(target: "catalyst.pki", error = %error, code = error.code(), "Certificate not issued");
        }
        _ => {
            tracing::warn!(target: "catalyst.pki", error = %error, code = error.code(), "CSR validation failed")
        }
    }
}
