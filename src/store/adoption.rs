//! Certificates that were issued after the copy was made that a store came from.

use super::{CertificateRow, Denial, KeyRefusal};
use crate::identity::{DnsName, InstanceId, Timestamp};

/// The store's decision on a certificate of ours that it did not know.
#[derive(Debug)]
pub enum AdoptOutcome {
    /// It is recorded now.
    Adopted(Box<CertificateRow>),
    /// It was recorded already.
    Known(Box<CertificateRow>),
    /// It stays unknown.
    Refused(AdoptRefusal),
}

/// Why a certificate is not adopted; a clause for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptRefusal {
    /// The store was never restored, or the certificate began before the copy was made or after the recovery.
    #[error("it does not begin between the backup and the end of the recovery")]
    OutsideWindow,
    /// It has ended.
    #[error("it has expired")]
    Expired,
    /// The clock is more than 5 minutes behind the newest recorded time.
    #[error("the clock is behind the newest record ({newest})")]
    ClockBehind {
        /// That newest time.
        newest: Timestamp,
    },
    /// Its identity is on the deny list.
    #[error("its identity is denied")]
    Denied(Denial),
    /// Its serial number stands on a CRL.
    #[error("it is revoked")]
    Revoked,
    /// Another certificate has its serial number.
    #[error("another certificate has its serial number")]
    SerialTaken,
    /// Its CA is unknown, a root, retired, revoked or at its end.
    #[error("its CA is none of the live ones")]
    IssuerGone,
    /// Its key may not be used.
    #[error("its key may not be used: {0:?}")]
    Key(KeyRefusal),
    /// Another instance owns one of its DNS names.
    #[error("the DNS name '{name}' belongs to {owner}")]
    NameTaken {
        /// The name.
        name: DnsName,
        /// Who owns it.
        owner: InstanceId,
    },
}
