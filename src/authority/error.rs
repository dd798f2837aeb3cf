//! Why the CA does not do what it was asked, with a code that stays.

use super::x509::{CsrError, EncodingError, LintError};
use crate::{
    identity::{CaRole, DnsName, Timestamp, TtlError, WorkloadError},
    store::{Denial, KeyRefusal, Restoration, StoreError, TicketRefusal},
};
use catalyst_signing::SignError;
use std::time::Duration;

/// An authority's answer.
pub type Result<T> = std::result::Result<T, AuthorityError>;

/// Why the CA does not do what it was asked. The sentence says what to do next.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// No hierarchy yet.
    #[error("the CA is not initialized: run 'catalyst pki init' or POST /pki/initialize")]
    NotInitialized,
    /// The store was put back, and nobody has said that the instance of before is gone.
    #[error(
        "in recovery since {}, from a backup of {}: nothing is issued until 'catalyst pki recovery confirm --old-instance-is-gone'",
        .0.restored_at, .0.snapshot_at
    )]
    Recovery(Restoration),
    /// A root exists, but no CA that issues to this type.
    #[error("no {0} CA issues: create one with POST /pki/intermediary, or activate the one that waits")]
    NoIssuer(CaRole),
    /// The CSR itself.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// No URI in the CSR, and the caller may not name the identity alone.
    #[error("the request has no URI subject alternative name: it must carry {0}")]
    UriMissing(String),
    /// More than one URI in the CSR.
    #[error("the request has {0} URI subject alternative names: an SVID has exactly one")]
    UriMany(usize),
    /// The CSR names another identity than the request.
    #[error("the request's URI is {found}, the identity asked for is {expected}")]
    UriMismatch {
        /// In the CSR.
        found: String,
        /// In the request.
        expected: String,
    },
    /// The identity is none of this CA's.
    #[error(transparent)]
    Identity(#[from] WorkloadError),
    /// The lifetime.
    #[error(transparent)]
    Ttl(#[from] TtlError),
    /// A DNS name that this identity may not have.
    #[error(
        "the DNS name '{0}' is not allowed to this identity: it may have its instance id, its type's alias and what CATALYST_PKI_DNS_NAMES allows"
    )]
    NameNotAllowed(String),
    /// A DNS name of somebody else.
    #[error(
        "the DNS name '{name}' belongs to {owner}: release it with 'catalyst pki identity release', or choose another"
    )]
    NameTaken {
        /// The name.
        name: DnsName,
        /// Whose it is.
        owner: String,
    },
    /// The key may not be certified.
    #[error("{}", match .0 {
        KeyRefusal::CaKey => "the request's key is a key of this CA: make a key of the service's own",
        KeyRefusal::Revoked => "the request's key is that of a revoked certificate: make a new key",
        KeyRefusal::InUse => "the request's key is in use by another identity: make a key of the service's own",
    })]
    Key(KeyRefusal),
    /// The identity is on the deny list.
    #[error("Identity denied: {}", .0.spiffe_id)]
    Denied(Denial),
    /// Too many certificates for this identity.
    #[error("this identity has had its share of certificates: try again in {} s", retry_after.as_secs())]
    LimitReached {
        /// How long until the next may be had.
        retry_after: Duration,
    },
    /// What the request rests on does not serve.
    #[error("{}", match .0 {
        TicketRefusal::Spent => "this bootstrap credential was revoked or has brought all the certificates that it may: ask an operator for a new one",
        TicketRefusal::IdentityExists => "this identity holds an unexpired certificate, and the bootstrap credential is bound to no identity: renew with the certificate, or use a credential minted with --spiffe-id",
        TicketRefusal::ProofUsed => "this renewal proof was used before: make a new one",
        TicketRefusal::CertificateGone => "the certificate that proves the renewal is not active any more: bootstrap anew",
    })]
    Ticket(TicketRefusal),
    /// The issuing CA is near its end.
    #[error("the {role} CA ends at {not_after}, too soon to issue: create and activate a new one")]
    CaExpiring {
        /// Which.
        role: CaRole,
        /// Its notAfter.
        not_after: Timestamp,
    },
    /// The clock went back.
    #[error(
        "the clock shows {now}, more than 5 minutes before the newest record ({newest}): nothing is issued until the clock is right"
    )]
    ClockBehind {
        /// What the clock shows.
        now: Timestamp,
        /// The newest recorded time.
        newest: Timestamp,
    },
    /// A request that is wrong in itself.
    #[error("{0}")]
    Invalid(String),
    /// A request that does not fit the state of things.
    #[error("{0}")]
    Conflict(String),
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// The key store.
    #[error(transparent)]
    KeyStore(#[from] SignError),
    /// The certificate store.
    #[error(transparent)]
    Store(StoreError),
    /// Our own bytes do not pass our own rules.
    #[error(transparent)]
    Lint(#[from] LintError),
    /// The encoder.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A task ended without an answer.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<StoreError> for AuthorityError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(sentence) => Self::Conflict(sentence),
            StoreError::NotFound(sentence) => Self::NotFound(sentence),
            other => Self::Store(other),
        }
    }
}

impl AuthorityError {
    /// Whether the fault is the service's or a store's, not the request's: an operator must hear of it.
    pub(super) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::KeyStore(_) | Self::Store(_) | Self::Lint(_) | Self::Encoding(_) | Self::Internal(_)
        )
    }

    /// The stable code of the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotInitialized => "not_initialized",
            Self::Recovery(_) => "recovery",
            Self::NoIssuer(_) => "no_issuer",
            Self::Csr(CsrError::Malformed(_)) => "csr_malformed",
            Self::Csr(CsrError::ProofOfPossession) => "csr_proof_of_possession",
            Self::Csr(CsrError::KeyType(_)) => "key_type_not_allowed",
            Self::Csr(CsrError::SignatureAlgorithm(_)) => "csr_signature_algorithm",
            Self::Csr(CsrError::NameKind(_)) | Self::NameNotAllowed(_) => "name_not_allowed",
            Self::UriMissing(_) => "uri_missing",
            Self::UriMany(_) => "uri_not_single",
            Self::UriMismatch { .. } => "uri_mismatch",
            Self::Identity(_) => "identity_not_allowed",
            Self::Ttl(_) => "ttl_not_allowed",
            Self::NameTaken { .. } => "name_taken",
            Self::Key(KeyRefusal::CaKey) => "key_is_ca_key",
            Self::Key(KeyRefusal::Revoked) => "key_revoked",
            Self::Key(KeyRefusal::InUse) => "key_in_use",
            Self::Denied(_) => "identity_denied",
            Self::LimitReached { .. } => "issue_limit",
            Self::Ticket(TicketRefusal::Spent) => "bootstrap_spent",
            Self::Ticket(TicketRefusal::IdentityExists) => "identity_exists",
            Self::Ticket(TicketRefusal::ProofUsed) => "proof_used",
            Self::Ticket(TicketRefusal::CertificateGone) => "certificate_gone",
            Self::CaExpiring { .. } => "ca_expiring",
            Self::ClockBehind { .. } => "clock_behind",
            Self::Invalid(_) => "invalid_request",
            Self::Conflict(_) => "conflict",
            Self::NotFound(_) => "not_found",
            Self::KeyStore(error) => error.code(),
            Self::Store(StoreError::Full) => "store_full",
            Self::Store(StoreError::ReadOnly { .. }) => "store_read_only",
            Self::Store(_) => "store_unavailable",
            Self::Lint(_) => "lint_refused",
            Self::Encoding(_) | Self::Internal(_) => "internal_error",
        }
    }
}
