//! Certificates on their way into the store and as rows of it.

use super::{Denial, Ticket, TicketRefusal};
use crate::identity::{DnsName, Fingerprint, InstanceId, KeyId, Serial, SpiffeId, SpkiHash, Timestamp};

/// What is recorded of an SVID beside its bytes.
#[derive(Clone, Debug)]
pub struct IssuanceRecord {
    /// Its serial number.
    pub serial: Serial,
    /// Whom it is for.
    pub spiffe_id: SpiffeId,
    /// Who comes to own its DNS names.
    pub instance_id: InstanceId,
    /// Subject CN; `None` where the subject is empty.
    pub common_name: Option<String>,
    /// The CA that signed it.
    pub issuer: KeyId,
    /// That CA certificate's serial number.
    pub issuer_serial: Serial,
    /// The key it is for.
    pub spki: SpkiHash,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// DNS names that belong to `instance_id` from now on; shared names (`auth`) are not among them.
    pub owned_names: Vec<DnsName>,
    /// At most so many for this identity; `None` for no limit.
    pub limit: Option<IssuanceLimit>,
    /// What is used up by it.
    pub ticket: Option<Ticket>,
}

/// How many certificates an identity may get in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuanceLimit {
    /// At most so many …
    pub count: u32,
    /// … recorded at or after this moment.
    pub since: Timestamp,
}

/// Signed, not recorded: only the store sees its bytes.
#[derive(Debug)]
pub struct SignedCertificate {
    pub(in crate::store) der: Vec<u8>,
    pub(in crate::store) record: IssuanceRecord,
}

impl SignedCertificate {
    /// Takes what the authority framed around a verified signature.
    pub(crate) fn new(der: Vec<u8>, record: IssuanceRecord) -> Self {
        Self { der, record }
    }
}

/// Durable: made only from the store's committed answer, and the only one whose bytes may leave.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    der: Vec<u8>,
    fingerprint: Fingerprint,
    record: IssuanceRecord,
}

impl IssuedCertificate {
    /// What the store answers after its commit.
    pub(in crate::store) fn committed(certificate: SignedCertificate, fingerprint: Fingerprint) -> Self {
        Self { der: certificate.der, fingerprint, record: certificate.record }
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of its DER.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What was recorded of it.
    pub fn record(&self) -> &IssuanceRecord {
        &self.record
    }
}

/// The store's decision on a signed certificate.
#[derive(Debug)]
pub enum RecordOutcome {
    /// It is durable.
    Recorded(Box<IssuedCertificate>),
    /// The identity is on the deny list.
    Denied(Denial),
    /// Another instance owns one of its DNS names.
    NameTaken {
        /// The name.
        name: DnsName,
        /// Who owns it.
        owner: InstanceId,
    },
    /// Its key may not be used.
    KeyRefused(KeyRefusal),
    /// The issuing CA was revoked or retired meanwhile.
    IssuerGone,
    /// The identity has had its share; the oldest counted one was recorded then.
    LimitReached {
        /// When the oldest certificate that counts was recorded.
        oldest: Timestamp,
    },
    /// The clock is more than 5 minutes behind the newest recorded time.
    ClockBehind {
        /// That newest time.
        newest: Timestamp,
    },
    /// What the request rests on does not serve.
    TicketRefused(TicketRefusal),
    /// The same bootstrap credential has brought a certificate for the same key already, which is still active: that
    /// one again. Nothing was recorded and no use is spent.
    IssuedBefore(Box<CertificateRow>),
}

/// Why a public key may not be certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// It is the key of a CA or of the token signer.
    CaKey,
    /// It is the key of a revoked certificate.
    Revoked,
    /// Another identity holds an unexpired certificate for it.
    InUse,
}

/// What is known against an issuance before it is signed.
#[derive(Debug, Default)]
pub struct Preflight {
    /// The denial, if the identity is denied.
    pub denied: Option<Denial>,
    /// Of the names asked about, those that have an owner.
    pub owners: Vec<(DnsName, InstanceId)>,
    /// Why the key may not be used.
    pub key: Option<KeyRefusal>,
    /// Set when the limit is reached: when the oldest certificate that counts was recorded.
    pub limit_reached: Option<Timestamp>,
    /// The newest recorded time.
    pub newest: Option<Timestamp>,
    /// Why the ticket does not serve.
    pub ticket_refused: Option<TicketRefusal>,
    /// What the same bootstrap credential has brought for the same key.
    pub issued_before: Option<Box<CertificateRow>>,
    /// The identity holds an unexpired certificate; looked up for bootstrap credentials alone.
    pub holds_certificate: bool,
}

/// A certificate's state, as `certificate.status` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateStatus {
    /// Valid.
    Active,
    /// On its CRL as `certificateHold`, while its identity is denied.
    Held,
    /// Revoked for good.
    Revoked,
    /// Past its notAfter.
    Expired,
}

impl CertificateStatus {
    /// As in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Held => "held",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Held, Self::Revoked, Self::Expired].into_iter().find(|s| s.as_str() == text)
    }
}

/// Which certificates to list.
#[derive(Clone, Debug, Default)]
pub struct CertificateQuery {
    /// At most so many.
    pub limit: u32,
    /// Only rows older than this one (the last `id` of the page before).
    pub before: Option<i64>,
    /// Only of this status.
    pub status: Option<CertificateStatus>,
    /// Only of this identity.
    pub spiffe_id: Option<SpiffeId>,
}

/// A row of `certificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Rises with each certificate; the cursor of lists.
    pub id: i64,
    /// Serial number.
    pub serial: Serial,
    /// SHA-256 of the DER.
    pub fingerprint: Fingerprint,
    /// `root-ca`, `services-ca`, `transport-ca` or `end-entity`.
    pub certificate_type: String,
    /// Subject CN, empty where the subject is.
    pub common_name: String,
    /// The identity; `None` for CAs.
    pub spiffe_id: Option<SpiffeId>,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The issuing CA certificate's serial number.
    pub issuer_serial: Serial,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// State at the time asked for.
    pub status: CertificateStatus,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// Issued before a restore and learnt of after it.
    pub adopted: bool,
}

/// Counts for status and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// End-entity certificates that are neither expired, held nor revoked.
    pub active_certificates: u64,
    /// Identities on the deny list.
    pub denied_identities: u64,
}
