//! How the CA is, in the words of `catalyst pki status`.

use super::{Authority, Result, crls::ROOT_FRESH_SECONDS, issuance::check_clock};
use crate::{
    identity::{CaRole, Timestamp, TrustDomain, Ttl},
    store::{CaRow, Restoration, Summary},
};

/// Intermediates are to be renewed this long before their end: half a year.
pub(super) const INTERMEDIATE_WARNING_SECONDS: i64 = 182 * 86_400;
/// A root this long before its end: two years, the lifetime of an intermediate.
const ROOT_WARNING_SECONDS: i64 = 730 * 86_400;

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Healthy,
    /// It works, with something to be done; the warnings say what.
    Degraded,
    /// There is no hierarchy yet.
    Uninitialized,
    /// The store was put back from a backup, and nothing is issued until that is confirmed.
    Recovery,
}

/// The CA at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether all is well.
    pub health: Health,
    /// The restore that waits to be confirmed.
    pub recovery: Option<Restoration>,
    /// Its trust domain.
    pub trust_domain: TrustDomain,
    /// All CAs that were ever made, by role and generation.
    pub cas: Vec<CaRow>,
    /// Counts.
    pub summary: Summary,
    /// What is to be done, in sentences.
    pub warnings: Vec<String>,
    /// What is to be known and no trouble: a planned change of CAs takes a day, and whoever allowed a key that may leave
    /// its key store meant it.
    pub notes: Vec<String>,
    /// When this was.
    pub at: Timestamp,
}

impl Status {
    /// The CA in force for a role.
    pub fn active(&self, role: CaRole) -> Option<&CaRow> {
        self.cas.iter().find(|row| row.certificate.role == role && row.is_active())
    }
}

impl Authority {
    /// How the CA is.
    ///
    /// # Errors
    /// The certificate store's alone.
    pub async fn status(&self) -> Result<Status> {
        let at = self.clock.now();
        let summary = self.store.summary(at).await?;
        let cas = self.state.load().hierarchy().cas.clone();
        let mut warnings = if self.is_initialized() { self.warnings(at) } else { Vec::new() };
        let waiting = cas.iter().filter(|row| row.is_live(at) && row.activated_at.is_none());
        let notes = waiting.map(|row| {
            let ca = &row.certificate;
            format!("{} ({}) is published and waits to be activated", ca.common_name, ca.ski)
        });
        let mut notes: Vec<String> = notes.collect();
        let hierarchy = self.store.hierarchy().await?;
        notes.extend(self.cautions(&hierarchy, at));
        if self.is_initialized() {
            warnings.extend(self.key_troubles(&hierarchy, at));
        }
        warnings.extend(
            check_clock(Some(self.store.newest_time().await?), at).err().map(|error| error.to_string()),
        );
        let recovery = self.recovery();
        let is_recovering = self.may_issue().err().map(|error| error.to_string());
        warnings.splice(..0, is_recovering);
        Ok(Status {
            health: match (recovery, self.is_initialized(), warnings.is_empty()) {
                (Some(_), ..) => Health::Recovery,
                (None, false, _) => Health::Uninitialized,
                (None, true, true) => Health::Healthy,
                (None, true, false) => Health::Degraded,
            },
            recovery,
            trust_domain: self.config.trust_domain.clone(),
            cas,
            summary,
            warnings,
            notes,
            at,
        })
    }

    /// Whether certificates of every role can be issued now; the reason where not.
    pub fn signing_trouble(&self) -> Option<String> {
        if let Err(error) = self.may_issue() {
            return Some(error.to_string());
        }
        let state = self.state.load();
        [CaRole::Services, CaRole::Transport].into_iter().find_map(|role| match state.active(role) {
            Ok(slot) => slot.trouble().map(|trouble| format!("{} CA: {trouble}", role.title())),
            Err(error) => Some(error.to_string()),
        })
    }

    pub(super) fn warnings(&self, at: Timestamp) -> Vec<String> {
        let state = self.state.load();
        let mut warnings = Vec::new();
        for role in CaRole::ALL {
            match state.active_row(role) {
                Some(row) => warnings.extend(expiry_warning(row, at)),
                None => warnings.push(format!("there is no active {role} CA")),
            }
        }
        for row in state.hierarchy().cas.iter().filter(|row| row.is_live(at)) {
            let name = &row.certificate.common_name;
            if let Some(trouble) = state.slot(row.certificate.ski).and_then(|slot| slot.trouble()) {
                warnings.push(format!("{name}: {trouble}"));
            }
        }
        for crl in self.crls.load().iter() {
            let Some(row) = state.ca(crl.issuer).filter(|row| row.is_live(at)) else { continue };
            let name = &row.certificate.common_name;
            match &crl.published {
                None => warnings.push(format!("{name} has no CRL yet")),
                Some(_) if crl.pending => {
                    warnings.push(format!("{name}: a revocation waits for its CRL to be signed"))
                }
                Some(published) if published.next_update <= at => {
                    warnings.push(format!("{name}: its CRL ended at {}", published.next_update));
                }
                Some(published)
                    if row.certificate.role == CaRole::Root
                        && published.next_update.seconds_since(at) < ROOT_FRESH_SECONDS =>
                {
                    warnings.push(format!("{name}: its CRL ends at {}", published.next_update));
                }
                Some(_) => {}
            }
        }
        warnings
    }
}

fn expiry_warning(row: &CaRow, at: Timestamp) -> Option<String> {
    let ca = &row.certificate;
    let left = ca.not_after.seconds_since(at);
    let period = if ca.role == CaRole::Root { ROOT_WARNING_SECONDS } else { INTERMEDIATE_WARNING_SECONDS };
    // A CA that was made for a short life is not warned of from its first day.
    let period = period.min(ca.not_after.seconds_since(ca.not_before) / 2);
    let days = left / 86_400;
    if left < 2 * Ttl::MAX.seconds() {
        return Some(format!(
            "{} ends at {} and issues nothing any more: create and activate a new CA now",
            ca.common_name, ca.not_after
        ));
    }
    (left < period)
        .then(|| format!("{} ends in {days} days, at {}: create a new CA", ca.common_name, ca.not_after))
}
