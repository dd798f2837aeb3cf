//! Who is calling, after the credential was checked.

use super::vocabulary::PrincipalKind;
use crate::{
    identity::{Actor, Fingerprint, SpiffeId, Timestamp},
    store::{BootstrapUse, RenewalUse},
};
use std::sync::Arc;

/// Who is calling, after the credential was checked.
#[derive(Clone, Debug)]
pub struct Caller {
    /// For the audit log.
    pub actor: Actor,
    /// For policy.
    pub facts: Arc<Facts>,
    /// What the credential is, as far as it is not a matter of policy.
    pub credential: Credential,
}

/// What policy may rest on. Policies see each under the attribute named in the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The Cedar type.
    pub kind: PrincipalKind,
    /// The Cedar id: `entity.name` of a token (chosen by its minter: no policy should rest on it), the SPIFFE id of
    /// a certificate, the `jti` of a bootstrap credential.
    pub cedar_id: String,
    /// A token's `sub`.
    pub sub: String,
    /// A token's `entity.id`.
    pub id: String,
    /// A token's `entity.name`.
    pub name: String,
    /// A token's `entity.type`.
    pub entity_type: String,
    /// A token's `entity.nodeId`.
    pub node_id: Option<String>,
    /// Of a certificate, or the one that a bootstrap credential serves; `None` for one that serves any.
    pub spiffe_id: Option<SpiffeId>,
    /// A token's `entity.trustedNodes`; none means any.
    pub trusted_nodes: Vec<String>,
    /// A token's `entity.trustedDomains`; none means any.
    pub trusted_domains: Vec<String>,
}

impl Facts {
    /// May do everything, everywhere.
    pub fn is_global_admin(&self) -> bool {
        self.kind == PrincipalKind::Admin && self.trusted_nodes.is_empty() && self.trusted_domains.is_empty()
    }
}

/// What the credential is, as far as it is not a matter of policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token, or the preset system secret, which has no end.
    Token {
        /// Its `exp`, or the end of its key's grace where that comes first.
        expires: Option<Timestamp>,
        /// It is good only together with a certificate.
        is_bound: bool,
    },
    /// A bootstrap credential: for one CSR.
    Bootstrap(BootstrapUse),
    /// A certificate of this CA.
    Svid {
        /// The certificate, and the proof's `jti` if it is a JWT.
        renewal: RenewalUse,
        /// SHA-256 of the only CSR that a JWT serves; `None` under mutual TLS.
        csr: Option<[u8; 32]>,
    },
}

/// What a request brings to prove who sends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presented<'a> {
    /// The value of the one `Authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// What was proven by mutual TLS on this very connection.
    pub certificate: Option<&'a PeerCertificate>,
    /// The request brings a CSR, which is all that a renewal proof is good for.
    pub for_csr: bool,
}

/// A certificate whose key the peer has proven to hold in the TLS handshake. Nothing else about it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Its end; `None` where none can be read in it.
    pub not_after: Option<Timestamp>,
}
