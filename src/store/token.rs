//! What is kept of credentials: records and hashes, never the credential.

use crate::identity::{Fingerprint, SpiffeId, Timestamp};

/// A token that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its `jti`.
    pub jti: String,
    /// Its `sub`.
    pub subject: String,
    /// `CATALYST::ADMIN`, `CATALYST::NODE`, …, as in the claim.
    pub principal: String,
    /// Its `entity` claim, JSON.
    pub entity: String,
    /// Names by which it can be revoked besides its `jti`, each once.
    pub sans: Vec<String>,
    /// The certificate that it is bound to (`cnf.x5t#S256`, RFC 8705, 3.1).
    pub certificate_fingerprint: Option<Fingerprint>,
    /// What a bootstrap credential is good for; `None` for every other token.
    pub bootstrap: Option<BootstrapGrant>,
    /// Its `iat`.
    pub issued_at: Timestamp,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What a minted bootstrap credential is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapGrant {
    /// The one identity that it serves; `None` for any.
    pub spiffe_id: Option<SpiffeId>,
    /// How many certificates it may bring.
    pub uses: u32,
}

/// Which tokens to list.
#[derive(Clone, Debug, Default)]
pub struct TokenQuery {
    /// Bound to this certificate.
    pub certificate_fingerprint: Option<Fingerprint>,
    /// With this name among its SANs.
    pub san: Option<String>,
    /// The page after this one: the `id` of the last row of the page before.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// A listed token; `id` is the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Rises with each token.
    pub id: i64,
    /// What was recorded.
    pub record: TokenRecord,
}

/// Which tokens to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSelector {
    /// The one with this `jti`.
    Jti(String),
    /// All with this name among their SANs.
    San(String),
    /// All that are bound to this certificate.
    Certificate(Fingerprint),
}

/// A secret that the operator presets, known by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresetSecret {
    /// When this hash was first seen.
    pub first_seen: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What an issuance rests on, as far as using it changes something: checked and used up in the step that records
/// the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// A bootstrap credential.
    Bootstrap(BootstrapUse),
    /// A renewal under a certificate of the same identity.
    Renewal(RenewalUse),
}

/// A use of a bootstrap credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapUse {
    /// The credential's `jti`, or `preset:` and the SHA-256 of the preset one in base64url without padding.
    pub credential: String,
    /// How many certificates it may bring in all; `None` for any number.
    pub uses: Option<u32>,
    /// It names no identity, so it brings nothing to one that holds an unexpired certificate.
    pub refuse_existing: bool,
    /// The same, where this is only warned of (`--dev`); means nothing to the store.
    pub warn_existing: bool,
}

/// A use of a renewal proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalUse {
    /// The proving certificate; must still be active when the new one is recorded.
    pub certificate: Fingerprint,
    /// SHA-256 of the proof's `jti`, and when the proof ends; `None` for a proof by mutual TLS. Remembered until at
    /// least ten minutes after that end.
    pub proof: Option<([u8; 32], Timestamp)>,
}

/// Why a ticket does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketRefusal {
    /// The bootstrap credential was revoked, or has brought all the certificates that it may.
    Spent,
    /// The identity holds an unexpired certificate, and the bootstrap credential names no identity.
    IdentityExists,
    /// The proof was used before.
    ProofUsed,
    /// The proving certificate is not active any more.
    CertificateGone,
}
