//! What the CA holds in memory: the hierarchy's rows, an issuer's slot for each CA, and the documents made of them.
//! Replaced as a whole whenever the hierarchy changes, so that readers never see half of a change.

use super::{
    Result,
    bundle::Bundle,
    error::AuthorityError,
    issuer::{Issuer, IssuerSlot},
    keys::Keys,
    x509,
};
use crate::{
    identity::{CaRole, KeyId, Serial, Timestamp, TrustDomain},
    store::{CaRow, Hierarchy},
};
use std::{collections::BTreeMap, sync::Arc};

/// One view of the hierarchy.
#[derive(Debug, Default)]
pub(super) struct State {
    hierarchy: Hierarchy,
    bundle: Option<Arc<Bundle>>,
    /// Of every CA but roots, whose keys are opened for one operation and closed again.
    slots: BTreeMap<KeyId, Arc<IssuerSlot>>,
    /// PEM of each CA's certificate, for chains.
    pems: BTreeMap<KeyId, String>,
}

impl State {
    /// A view of these rows. Issuers that were `opened` for this change are not opened again and take the place of
    /// earlier ones; all other slots that `before` had already are kept.
    pub(super) fn new(
        hierarchy: Hierarchy,
        trust_domain: &TrustDomain,
        keys: &Arc<Keys>,
        before: &Self,
        opened: &[Arc<Issuer>],
        at: Timestamp,
    ) -> Result<Self> {
        let mut state = Self::default();
        for row in &hierarchy.cas {
            let ca = &row.certificate;
            state.pems.insert(ca.ski, x509::certificate_pem(&ca.der)?);
            if ca.role != CaRole::Root && row.is_live(at) {
                let opened = opened.iter().find(|issuer| issuer.certificate().key_id() == ca.ski);
                let slot = match (opened, before.slots.get(&ca.ski)) {
                    (Some(issuer), _) => IssuerSlot::ready(issuer.clone()),
                    (None, Some(slot)) => slot.clone(),
                    (None, None) => IssuerSlot::open(keys.clone(), row.clone()),
                };
                state.slots.insert(ca.ski, slot);
            }
        }
        if hierarchy.initialized_at.is_some() {
            state.bundle = Some(Arc::new(Bundle::new(&hierarchy, trust_domain, at)?));
        }
        state.hierarchy = hierarchy;
        Ok(state)
    }

    /// The rows.
    pub(super) fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// The trust bundle.
    ///
    /// # Errors
    /// [`AuthorityError::NotInitialized`] before the hierarchy is complete.
    pub(super) fn bundle(&self) -> Result<Arc<Bundle>> {
        self.bundle.clone().ok_or(AuthorityError::NotInitialized)
    }

    /// The slot of a CA that is not a root.
    pub(super) fn slot(&self, ca: KeyId) -> Option<&Arc<IssuerSlot>> {
        self.slots.get(&ca)
    }

    /// The row of the CA that issues for a role.
    pub(super) fn active_row(&self, role: CaRole) -> Option<&CaRow> {
        self.hierarchy.cas.iter().find(|row| row.certificate.role == role && row.is_active())
    }

    /// The slot of the CA that issues for a role.
    pub(super) fn active(&self, role: CaRole) -> Result<Arc<IssuerSlot>> {
        if self.bundle.is_none() {
            return Err(AuthorityError::NotInitialized);
        }
        let row = self.active_row(role).ok_or(AuthorityError::NoIssuer(role))?;
        self.slots.get(&row.certificate.ski).cloned().ok_or(AuthorityError::NoIssuer(role))
    }

    /// A CA by its key identifier.
    pub(super) fn ca(&self, ca: KeyId) -> Option<&CaRow> {
        self.hierarchy.cas.iter().find(|row| row.certificate.ski == ca)
    }

    /// Issuing CA, then root; PEM.
    pub(super) fn chain_of(&self, issuer: &x509::CaCertificate) -> Result<Vec<String>> {
        self.chain(self.ca(issuer.key_id()))
    }

    /// The same for a CA by its certificate's serial number.
    pub(super) fn chain_of_serial(&self, issuer: Serial) -> Result<Vec<String>> {
        self.chain(self.hierarchy.cas.iter().find(|row| row.certificate.serial == issuer))
    }

    fn chain(&self, row: Option<&CaRow>) -> Result<Vec<String>> {
        let own = row.and_then(|row| self.certificate_of(row));
        let (pem, above) = own.ok_or(AuthorityError::NotInitialized)?;
        Ok(std::iter::once(pem).chain(above).collect())
    }

    /// A CA's certificate and what it chains to, PEM.
    pub(super) fn certificate_of(&self, row: &CaRow) -> Option<(String, Vec<String>)> {
        let pem = |id: &KeyId| self.pems.get(id).cloned();
        let ca = &row.certificate;
        let chain = if ca.issuer == ca.ski { None } else { pem(&ca.issuer) };
        Some((pem(&ca.ski)?, chain.into_iter().collect()))
    }
}
