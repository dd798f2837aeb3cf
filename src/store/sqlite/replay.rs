//! The denial journal, replayed on a store out of a backup. It may only take away: what was allowed in it undoes what
//! was denied in it, and nothing that stands in the backup.

use super::{
    ca, crl, deny,
    fault::{Fault, Outcome, conflict},
    list::state,
    secret,
    step::{Step, all},
    token,
};
use crate::{
    identity::{Fingerprint, KeyId, Serial, SpiffeId, SpkiHash, Timestamp, Ttl},
    store::{Denial, JournalLine, Restored, RevocationReason, Stamp, StoreError, TokenSelector},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of preset secrets.
const SECRETS: [&str; 2] = ["system", "bootstrap"];

/// Replays the lines in the order of their times. One that does not fit the store is told, and leaves nothing.
///
/// Lines may stand twice, and those of the time before the backup may come after later ones: an instance that was
/// restored appends them again. So their places mean nothing, and a denial that is on record in the store already, or
/// whose end is, is not made again: it would strike what was issued since.
pub(super) fn journal(
    step: &mut Step<'_>,
    lines: &[JournalLine],
    stamp: &Stamp,
    restored: &mut Restored,
) -> Outcome<()> {
    let mut lines: Vec<_> = lines.iter().collect();
    lines.sort_by_key(|line| (line.at, line.seq));
    let mut ended = allowed(step)?;
    for line in lines.iter().filter(|line| line.action == "identity.allowed") {
        if is_recorded(step, line)? {
            let last = ended.entry(line.subject.clone()).or_insert(line.at);
            *last = line.at.max(*last);
        }
    }
    let mut denied_here = BTreeSet::new();
    for line in lines {
        let mut replay = Replay { step, line, stamp, ended: &ended, denied_here: &mut denied_here, restored };
        replay.guarded()?;
    }
    Ok(())
}

/// When the store itself has last allowed each identity, in milliseconds: what was denied before is told by a store of
/// before, too, that came out of an earlier backup.
fn allowed(step: &Step<'_>) -> Outcome<BTreeMap<String, i64>> {
    let sql = "SELECT subject, max(at) FROM audit WHERE action = 'identity.allowed' GROUP BY subject";
    Ok(all(step.connection(), sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

/// Whether the store's audit log has the line's record, or had it before it was sealed.
fn is_recorded(step: &Step<'_>, line: &JournalLine) -> Outcome<bool> {
    let sql = "SELECT 1 FROM audit WHERE seq = ?1 AND at = ?2 AND action = ?3 AND subject = ?4
         UNION ALL SELECT 1 FROM audit_file WHERE ?1 BETWEEN first_seq AND last_seq AND ?2 <= dropped_at";
    step.exists(sql, (line.seq, line.at, &line.action, &line.subject))
}

#[derive(Deserialize)]
struct DenialDetail {
    reason: String,
    compromised: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevocationDetail {
    reason: u8,
    spiffe_id: Option<String>,
    spki: Option<String>,
    fingerprint: Option<String>,
    issuer: Option<String>,
    not_after: Option<i64>,
}

#[derive(Deserialize)]
struct ReasonDetail {
    reason: u8,
}

#[derive(Deserialize)]
struct SecretDetail {
    sha256: String,
}

/// One line on its way into the store.
struct Replay<'r, 'c> {
    step: &'r mut Step<'c>,
    line: &'r JournalLine,
    stamp: &'r Stamp,
    /// When the store itself has last allowed an identity, in milliseconds.
    ended: &'r BTreeMap<String, i64>,
    /// Identities that the journal alone denies.
    denied_here: &'r mut BTreeSet<SpiffeId>,
    restored: &'r mut Restored,
}

impl Replay<'_, '_> {
    /// Whole or not at all.
    fn guarded(&mut self) -> Outcome<()> {
        let (ledger, restored) = (self.step.ledger().clone(), self.restored.clone());
        self.step.execute("SAVEPOINT line", ())?;
        match self.run() {
            Ok(()) => {}
            Err(Fault::Store(StoreError::Conflict(why) | StoreError::NotFound(why))) => {
                self.step.execute("ROLLBACK TO line", ())?;
                self.step.set_ledger(ledger);
                *self.restored = restored;
                self.restored.notes.push(format!(
                    "a line of the journal ({} {}) was left out: {why}",
                    self.line.action, self.line.subject
                ));
            }
            Err(fault) => return Err(fault),
        }
        self.step.execute("RELEASE line", ())?;
        Ok(())
    }

    fn run(&mut self) -> Outcome<()> {
        match self.line.action.as_str() {
            "identity.denied" => self.deny(),
            "identity.allowed" => self.allow(),
            "certificate.revoked" => self.revoke_certificate(),
            "ca.revoked" => self.revoke_ca(),
            "token.revoked" => {
                let which = TokenSelector::Jti(self.line.subject.clone());
                self.restored.tokens += token::revoke(self.step, &which, self.stamp)?.len() as u64;
                Ok(())
            }
            "secret.revoked" => self.revoke_secret(),
            _ => conflict("this program does not know the action".to_owned()),
        }
    }

    /// When it happened, and never later than now.
    fn happened_at(&self) -> Timestamp {
        self.line.at().clamp(Timestamp::from_millis(0), self.stamp.at)
    }

    fn subject<T: std::str::FromStr>(&self, what: &str) -> Outcome<T> {
        match self.line.subject.parse() {
            Ok(subject) => Ok(subject),
            Err(_) => conflict(format!("what it names is no {what}")),
        }
    }

    fn detail<'d, T: Deserialize<'d>>(&self, line: &'d JournalLine) -> Outcome<T> {
        match T::deserialize(&line.detail) {
            Ok(detail) => Ok(detail),
            Err(error) => conflict(format!("its detail is of another form: {error}")),
        }
    }

    fn reason(code: u8) -> Outcome<RevocationReason> {
        match RevocationReason::from_code(code) {
            Some(reason) => Ok(reason),
            None => conflict(format!("{code} is no reason of this CA")),
        }
    }

    fn deny(&mut self) -> Outcome<()> {
        let spiffe_id: SpiffeId = self.subject("SPIFFE id")?;
        let detail: DenialDetail = self.detail(self.line)?;
        let has_ended = self.ended.get(spiffe_id.as_str()).is_some_and(|ended| *ended >= self.line.at);
        if has_ended || is_recorded(self.step, self.line)? {
            return Ok(());
        }
        let standing = deny::get(self.step.connection(), &spiffe_id)?;
        if standing.as_ref().is_none_or(|denial| detail.compromised && !denial.compromised) {
            deny::deny(self.step, &spiffe_id, &detail.reason, detail.compromised, self.stamp)?;
        }
        if standing.is_none() {
            let sql = "UPDATE denied_identity SET denied_at = ?2 WHERE spiffe_id = ?1";
            self.step.execute(sql, (spiffe_id.as_str(), self.happened_at().millis()))?;
            self.denied_here.insert(spiffe_id);
            self.restored.denied += 1;
        }
        Ok(())
    }

    fn allow(&mut self) -> Outcome<()> {
        let spiffe_id: SpiffeId = self.subject("SPIFFE id")?;
        if self.denied_here.remove(&spiffe_id) {
            deny::allow(self.step, &spiffe_id, self.stamp)?;
            self.restored.denied -= 1;
            return Ok(());
        }
        let standing = deny::get(self.step.connection(), &spiffe_id)?;
        let is_later = |denial: Denial| denial.denied_at <= self.line.at();
        if standing.is_some_and(is_later) && !is_recorded(self.step, self.line)? {
            self.restored.notes.push(format!(
                "{spiffe_id} stays denied: the journal says that it was allowed at {}, and nobody vouches for the journal; if it is so, allow it again",
                self.happened_at()
            ));
        }
        Ok(())
    }

    fn revoke_certificate(&mut self) -> Outcome<()> {
        let serial: Serial = self.subject("serial number")?;
        let detail: RevocationDetail = self.detail(self.line)?;
        let reason = Self::reason(detail.reason)?;
        if reason == RevocationReason::CertificateHold {
            return conflict("a hold comes with its identity's denial".to_owned());
        }
        let sql = "SELECT state FROM certificate_record WHERE serial = ?1";
        let known: Option<i64> = self.step.one(sql, [serial.as_bytes()], |row| row.get(0))?;
        match known {
            Some(state::REVOKED) => {}
            Some(_) => {
                deny::revoke_certificate(self.step, serial, reason, self.stamp)?;
                self.restored.revoked += 1;
            }
            None => self.revoke_unknown(serial, reason, &detail)?,
        }
        Ok(())
    }

    /// Issued after the backup: its place on the CRL and its key.
    fn revoke_unknown(
        &mut self,
        serial: Serial,
        reason: RevocationReason,
        detail: &RevocationDetail,
    ) -> Outcome<()> {
        let spki = detail.spki.as_deref().map(str::parse::<SpkiHash>).transpose();
        let Ok(spki) = spki else { return conflict("its key's hash is none".to_owned()) };
        let on_crl = self.list_unknown(serial, reason, detail)?;
        let is_blocked = match spki {
            Some(spki) => {
                let sql = "SELECT 1 FROM blocked_key WHERE spki_hash = ?1";
                let was_blocked = self.step.exists(sql, [spki.as_bytes()])?;
                crl::block_key(self.step, *spki.as_bytes(), *serial.as_bytes(), self.happened_at())?;
                !was_blocked
            }
            None => false,
        };
        if let Some(fingerprint) = &detail.fingerprint {
            let tokens = token::live_of_certificate(self.step.connection(), fingerprint, self.stamp.at)?;
            self.restored.tokens += token::end(self.step, tokens, self.stamp)?.len() as u64;
        }
        if on_crl || is_blocked {
            let record = json!({
                "reason": detail.reason, "spiffeId": detail.spiffe_id, "fingerprint": detail.fingerprint,
                "spki": detail.spki, "issuer": detail.issuer, "notAfter": detail.not_after,
            });
            self.step.audit(self.stamp, "certificate.revoked", serial, record.to_string())?;
        }
        self.restored.revoked += u64::from(on_crl);
        Ok(())
    }

    /// Answers whether it has come onto its CA's CRL now.
    fn list_unknown(
        &mut self,
        serial: Serial,
        reason: RevocationReason,
        detail: &RevocationDetail,
    ) -> Outcome<bool> {
        let issuer = detail.issuer.as_deref().map(str::parse::<KeyId>).transpose();
        let Ok(Some(issuer)) = issuer else {
            return conflict(
                "the certificate is not in the backup, and the line does not name its CA".to_owned(),
            );
        };
        let sql = "SELECT id, not_after FROM ca WHERE ski = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let ca: Option<(i64, i64)> = self.step.one(sql, [issuer.as_bytes()], read)?;
        let Some((ca, ca_ends)) = ca else {
            return conflict(format!("its CA {issuer} is not in the backup"));
        };
        let now = self.stamp.at;
        // No certificate that was issued by now ends later.
        let latest = now.plus_seconds(Ttl::MAX.seconds()).millis();
        let not_after = detail.not_after.unwrap_or(latest).min(latest).min(ca_ends);
        let sql = "SELECT 1 FROM crl_entry WHERE ca = ?1 AND serial = ?2 AND reason <> 6";
        if not_after <= now.millis() || self.step.exists(sql, (ca, serial.as_bytes()))? {
            return Ok(false);
        }
        let revision = crl::raise_revision(self.step, ca)?;
        let line = crl::Line { serial: *serial.as_bytes(), reason, not_after, revision };
        crl::put(self.step, ca, &line, self.happened_at())?;
        Ok(true)
    }

    fn revoke_ca(&mut self) -> Outcome<()> {
        let ski: KeyId = self.subject("key identifier")?;
        let detail: ReasonDetail = self.detail(self.line)?;
        let sql = "SELECT revoked_at IS NOT NULL FROM ca WHERE ski = ?1";
        let was_revoked = self.step.one(sql, [ski.as_bytes()], |row| row.get(0))?.unwrap_or(false);
        ca::revoke(self.step, ski, Self::reason(detail.reason)?, self.stamp)?;
        self.restored.revoked += u64::from(!was_revoked);
        Ok(())
    }

    fn revoke_secret(&mut self) -> Outcome<()> {
        let kind = &self.line.subject;
        let detail: SecretDetail = self.detail(self.line)?;
        let hash: Result<Fingerprint, _> = detail.sha256.parse();
        let (Ok(hash), true) = (hash, SECRETS.contains(&kind.as_str())) else {
            return conflict("it names no preset secret".to_owned());
        };
        // One that was first seen after the backup is not good again when it is seen next.
        secret::seen(self.step, kind, hash.as_bytes(), self.stamp)?;
        let was_good = secret::revoke(self.step, kind, hash.as_bytes(), self.stamp)?;
        self.restored.secrets += u64::from(was_good);
        Ok(())
    }
}
