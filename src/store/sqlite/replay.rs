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
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Kinds of preset secrets.
const SECRETS: [&str; 2] = ["system", "bootstrap"];

/// Replays the lines in their order. One that does not fit the store is told, and leaves nothing.
///
/// Lines may stand twice, and those of the time before the backup may come after later ones: an instance that was
/// restored appends them again, and two copies of a journal may be read. So each counts at its first place alone. Clocks
/// are set back, too, and so what lifts a denial has to come after it both by its place and by its time. A denial that is on
/// record in the store already, or whose end is, is not made again: it would strike what was issued since.
pub(super) fn journal(
    step: &mut Step<'_>,
    lines: &[JournalLine],
    stamp: &Stamp,
    restored: &mut Restored,
) -> Outcome<()> {
    let (mut seen, mut lines) = (HashSet::new(), Vec::from_iter(lines));
    lines.retain(|line| line.seq == 0 || seen.insert((line.seq, line.at, &line.action, &line.subject)));
    let has_ended = have_ended(step, &lines)?;
    replay(step, &lines, &has_ended, stamp, restored)
}

/// Replays what stands in a store of before, whose denials are in no order with what the backup has allowed: it may
/// itself have come out of an earlier backup. So the times alone tell.
pub(super) fn standing(
    step: &mut Step<'_>,
    lines: &[JournalLine],
    stamp: &Stamp,
    restored: &mut Restored,
) -> Outcome<()> {
    let sql = "SELECT subject, max(at) FROM audit WHERE action = 'identity.allowed' GROUP BY subject";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    let allowed: BTreeMap<_, _> = all(step.connection(), sql, (), read)?.into_iter().collect();
    let has_ended = |line: &JournalLine| allowed.get(&line.subject).is_some_and(|at| *at >= line.at);
    let has_ended: Vec<_> = lines.iter().map(has_ended).collect();
    let lines: Vec<_> = lines.iter().collect();
    replay(step, &lines, &has_ended, stamp, restored)
}

fn replay(
    step: &mut Step<'_>,
    lines: &[&JournalLine],
    has_ended: &[bool],
    stamp: &Stamp,
    restored: &mut Restored,
) -> Outcome<()> {
    let mut denied_here = BTreeMap::new();
    for (line, has_ended) in lines.iter().zip(has_ended.iter().copied()) {
        let denied_here = &mut denied_here;
        let mut replay = Replay { step, line, stamp, has_ended, denied_here, restored };
        replay.guarded()?;
    }
    Ok(())
}

/// Of each line, whether the store itself has allowed the identity after it.
fn have_ended(step: &Step<'_>, lines: &[&JournalLine]) -> Outcome<Vec<bool>> {
    let mut latest: BTreeMap<&str, i64> = BTreeMap::new();
    let mut ended = Vec::with_capacity(lines.len());
    for line in lines.iter().rev() {
        let subject = line.subject.as_str();
        if line.action == "identity.allowed" && is_recorded(step, line)? {
            let at = latest.entry(subject).or_insert(line.at);
            *at = line.at.max(*at);
        }
        ended.push(latest.get(subject).is_some_and(|at| *at >= line.at));
    }
    ended.reverse();
    Ok(ended)
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
    /// Each by itself: a denial holds whatever is wrong with one of them.
    #[serde(default)]
    withdrawn: Vec<Value>,
}

/// A certificate that a denial has taken out of use.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Withdrawn {
    serial: String,
    issuer: String,
    spki: String,
    not_after: i64,
}

/// A line of a CRL: the CA's number and the serial number.
type Listed = (i64, Serial);

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

/// An identity that the journal alone denies.
struct DeniedHere {
    /// The latest time of its denials, in milliseconds.
    at: i64,
    /// What is on hold by that although the backup does not know it.
    on_hold: Vec<Listed>,
}

/// One line on its way into the store.
struct Replay<'r, 'c> {
    step: &'r mut Step<'c>,
    line: &'r JournalLine,
    stamp: &'r Stamp,
    /// The store itself has allowed the identity since.
    has_ended: bool,
    denied_here: &'r mut BTreeMap<SpiffeId, DeniedHere>,
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
        if self.has_ended || is_recorded(self.step, self.line)? {
            return Ok(());
        }
        let standing = deny::get(self.step.connection(), &spiffe_id)?;
        if standing.as_ref().is_none_or(|denial| detail.compromised && !denial.compromised) {
            deny::deny(self.step, &spiffe_id, &detail.reason, detail.compromised, self.stamp)?;
        }
        if let Some(here) = self.denied_here.get_mut(&spiffe_id) {
            here.at = here.at.max(self.line.at);
        }
        if standing.is_none() {
            let sql = "UPDATE denied_identity SET denied_at = ?2 WHERE spiffe_id = ?1";
            self.step.execute(sql, (spiffe_id.as_str(), self.happened_at().millis()))?;
            self.denied_here.insert(spiffe_id.clone(), DeniedHere { at: self.line.at, on_hold: Vec::new() });
            self.restored.denied += 1;
        }
        for certificate in &detail.withdrawn {
            match self.withdraw(&spiffe_id, detail.compromised, certificate) {
                Err(Fault::Store(StoreError::Conflict(why))) => self.restored.notes.push(format!(
                    "a certificate in a line of the journal ({} {spiffe_id}) was left out: {why}",
                    self.line.action
                )),
                done => done?,
            }
        }
        Ok(())
    }

    /// What a denial has taken out of use. What the store knows of the identity goes with the denial itself; what was
    /// issued after the backup comes onto its CA's CRL, too.
    fn withdraw(&mut self, spiffe_id: &SpiffeId, compromised: bool, certificate: &Value) -> Outcome<()> {
        let read = Withdrawn::deserialize(certificate);
        let Ok((Ok(serial), Ok(spki), Withdrawn { issuer, not_after, .. })) =
            read.map(|read| (read.serial.parse::<Serial>(), read.spki.parse::<SpkiHash>(), read))
        else {
            return conflict("it is of another form".to_owned());
        };
        let known = "SELECT 1 FROM certificate_record WHERE serial = ?1";
        if self.step.exists(known, [serial.as_bytes()])? {
            return Ok(());
        }
        if compromised {
            let detail = RevocationDetail {
                reason: RevocationReason::KeyCompromise.code(),
                spiffe_id: Some(spiffe_id.to_string()),
                spki: Some(spki.to_string()),
                fingerprint: None,
                issuer: Some(issuer),
                not_after: Some(not_after),
            };
            return self.revoke_unknown(serial, RevocationReason::KeyCompromise, &detail);
        }
        let (issuer, not_after) = (Some(issuer.as_str()), Some(not_after));
        if let Some(ca) = self.list_unknown(serial, RevocationReason::CertificateHold, issuer, not_after)? {
            self.restored.revoked += 1;
            if let Some(here) = self.denied_here.get_mut(spiffe_id) {
                here.on_hold.push((ca, serial));
            }
        }
        Ok(())
    }

    fn allow(&mut self) -> Outcome<()> {
        let spiffe_id: SpiffeId = self.subject("SPIFFE id")?;
        if self.denied_here.get(&spiffe_id).is_some_and(|here| self.line.at < here.at) {
            if !is_recorded(self.step, self.line)? {
                self.restored.notes.push(format!(
                    "{spiffe_id} stays denied: by the times in the journal it was allowed before it was denied, at {}; if it was after it, allow it again",
                    self.happened_at()
                ));
            }
            return Ok(());
        }
        if let Some(DeniedHere { on_hold, .. }) = self.denied_here.remove(&spiffe_id) {
            deny::allow(self.step, &spiffe_id, self.stamp)?;
            self.restored.denied -= 1;
            for (ca, serial) in on_hold {
                let sql = "DELETE FROM crl_entry WHERE ca = ?1 AND serial = ?2 AND reason = 6";
                if self.step.execute(sql, (ca, serial.as_bytes()))? > 0 {
                    crl::raise_revision(self.step, ca)?;
                    self.restored.revoked -= 1;
                }
            }
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
        let on_crl = self.list_unknown(serial, reason, detail.issuer.as_deref(), detail.not_after)?.is_some();
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

    /// Answers the number of its CA if it has come onto that one's CRL now.
    fn list_unknown(
        &mut self,
        serial: Serial,
        reason: RevocationReason,
        issuer: Option<&str>,
        not_after: Option<i64>,
    ) -> Outcome<Option<i64>> {
        let issuer = issuer.map(str::parse::<KeyId>).transpose();
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
        let not_after = not_after.unwrap_or(latest).min(latest).min(ca_ends);
        // A line for good takes the place of a hold, and never the other way round.
        let sql = "SELECT 1 FROM crl_entry WHERE ca = ?1 AND serial = ?2 AND (reason <> 6 OR ?3 = 6)";
        if not_after <= now.millis() || self.step.exists(sql, (ca, serial.as_bytes(), reason.code()))? {
            return Ok(None);
        }
        let revision = crl::raise_revision(self.step, ca)?;
        let line = crl::Line { serial: *serial.as_bytes(), reason, not_after, revision };
        crl::put(self.step, ca, &line, self.happened_at())?;
        Ok(Some(ca))
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
