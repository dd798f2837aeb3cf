//! The trust bundle in its three forms: PEM, per network, and as a SPIFFE bundle.

use super::{Result, x509};
use crate::{
    identity::{CaRole, Timestamp, TrustDomain},
    store::{CaRow, Hierarchy},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// How often SPIFFE consumers are asked to look again, in seconds.
const REFRESH_HINT_SECONDS: u32 = 300;

/// Everything a verifier needs; made once per change of the hierarchy.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Rises with each change; the ETag.
    pub version: i64,
    /// Of which trust domain.
    pub trust_domain: TrustDomain,
    /// Root certificates, PEM.
    pub roots: Vec<String>,
    /// Live services CAs, PEM, newest generation first.
    pub services: Vec<String>,
    /// Live transport CAs, PEM, newest generation first.
    pub transport: Vec<String>,
    /// When the first of them ends.
    pub expires_at: Timestamp,
    /// SPIFFE trust bundle (JWKS): the roots alone.
    pub spiffe_json: String,
}

impl Bundle {
    /// Of the CAs that are live at this moment.
    pub(super) fn new(hierarchy: &Hierarchy, trust_domain: &TrustDomain, at: Timestamp) -> Result<Self> {
        let live = |role: CaRole| {
            let mut rows: Vec<&CaRow> =
                hierarchy.cas.iter().filter(|row| row.certificate.role == role && row.is_live(at)).collect();
            rows.sort_by_key(|row| std::cmp::Reverse(row.certificate.generation));
            rows
        };
        let pems = |rows: &[&CaRow]| -> Result<Vec<String>> {
            rows.iter().map(|row| Ok(x509::certificate_pem(&row.certificate.der)?)).collect()
        };
        let (roots, services, transport) =
            (live(CaRole::Root), live(CaRole::Services), live(CaRole::Transport));
        let ends = [&roots, &services, &transport].into_iter().flatten().map(|row| row.certificate.not_after);
        Ok(Self {
            version: hierarchy.bundle_version,
            trust_domain: trust_domain.clone(),
            expires_at: ends.min().unwrap_or(at),
            spiffe_json: spiffe(&roots, hierarchy.spiffe_sequence)?,
            roots: pems(&roots)?,
            services: pems(&services)?,
            transport: pems(&transport)?,
        })
    }

    /// The roots and all live intermediates, PEM.
    pub fn pem(&self) -> String {
        [&self.roots, &self.services, &self.transport].into_iter().flatten().map(String::as_str).collect()
    }

    /// What one network's verifiers trust: its intermediates and the roots, or the intermediates alone.
    pub fn network(&self, role: CaRole, issuing_only: bool) -> Vec<String> {
        let intermediates = match role {
            CaRole::Root => &[],
            CaRole::Services => self.services.as_slice(),
            CaRole::Transport => self.transport.as_slice(),
        };
        let roots = if issuing_only { &[] } else { self.roots.as_slice() };
        intermediates.iter().chain(roots).cloned().collect()
    }
}

/// SPIFFE Trust Domain and Bundle, section 4: `use` is `x509-svid`, no `kid`, one certificate in each `x5c`.
fn spiffe(roots: &[&CaRow], sequence: i64) -> Result<String> {
    let mut keys = Vec::new();
    for root in roots {
        let ca = x509::CaCertificate::from_der(&root.certificate.der)?;
        let mut key = x509::public_jwk(ca.spki())?;
        key.insert("use".into(), Value::from("x509-svid"));
        key.insert("x5c".into(), json!([STANDARD.encode(ca.der())]));
        keys.push(Value::Object(key));
    }
    let bundle =
        json!({ "keys": keys, "spiffe_sequence": sequence, "spiffe_refresh_hint": REFRESH_HINT_SECONDS });
    Ok(bundle.to_string())
}
