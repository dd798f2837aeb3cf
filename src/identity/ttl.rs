//! How long an SVID lives.

use std::fmt;

/// An SVID's lifetime: 1 second to 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(u32);

/// The lifetime is none an SVID may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lifetime of {0} seconds is not allowed: an SVID lives 1 to {max} seconds (24 hours at most)", max = Ttl::MAX.0)]
pub struct TtlError(pub i64);

impl Ttl {
    /// The longest lifetime there is: 24 hours.
    pub const MAX: Self = Self(86_400);

    /// What an SVID gets when nobody says otherwise.
    pub const HOUR: Self = Self(3_600);

    /// In seconds.
    pub fn seconds(self) -> i64 {
        i64::from(self.0)
    }
}

impl TryFrom<i64> for Ttl {
    type Error = TtlError;
    fn try_from(seconds: i64) -> Result<Self, TtlError> {
        u32::try_from(seconds)
            .ok()
            .filter(|s| (1..=Self::MAX.0).contains(s))
            .map(Self)
            .ok_or(TtlError(seconds))
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}
