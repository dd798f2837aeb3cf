//! What is committed before a key is made, so that after a crash the key is found instead of made again.

use crate::SignatureAlgorithm;
use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

/// How much older than its intent a key may seem: clocks differ.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// 128 random bits that the key carries (as tag, label, CKA_ID or name), written as 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; 16]);

/// The text is no nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is 32 lower-case hexadecimal digits")]
pub struct InvalidNonce;

impl Nonce {
    /// A fresh one from the system's random source; fails only where that does.
    pub fn random() -> std::result::Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// One that was stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// For storing.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Nonce {
    type Err = InvalidNonce;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidNonce> {
        let lower_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 32 || !text.bytes().all(lower_hex) {
            return Err(InvalidNonce);
        }
        u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| InvalidNonce)
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyRole {
    /// The root CA.
    Root,
    /// The services CA.
    Services,
    /// The transport CA.
    Transport,
    /// The token signing key.
    Token,
    /// A key that `backend check` and tests make.
    Probe,
}

/// The text is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown key role '{0}': use root, services, transport, token or probe")]
pub struct UnknownRole(pub String);

impl KeyRole {
    /// Every role.
    pub const ALL: &[Self] = &[Self::Root, Self::Services, Self::Transport, Self::Token, Self::Probe];

    /// `root`, `services`, `transport`, `token` or `probe`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Services => "services",
            Self::Transport => "transport",
            Self::Token => "token",
            Self::Probe => "probe",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyRole {
    type Err = UnknownRole;

    fn from_str(name: &str) -> std::result::Result<Self, UnknownRole> {
        Self::ALL.iter().copied().find(|r| r.name() == name).ok_or_else(|| UnknownRole(name.to_owned()))
    }
}

/// The wish for one key. The CA's store commits it first; the key then carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIntent {
    /// Tells this wish from every other.
    pub nonce: Nonce,
    /// The deployment's id, 16 hex digits.
    pub deployment: String,
    /// What the key is for.
    pub role: KeyRole,
    /// Counts the keys of a role.
    pub generation: u32,
    /// How it will sign.
    pub algorithm: SignatureAlgorithm,
    /// When the wish was committed; a key older than this by more than five minutes is another's.
    pub created_at: SystemTime,
}

impl KeyIntent {
    /// Whether a key that was made at that time, by the key store's clock, may be this intent's.
    #[must_use]
    pub fn could_be_made_at(&self, made: SystemTime) -> bool {
        // A time that no clock can show is at least not too early.
        made.checked_add(TOLERANCE).is_none_or(|latest| latest >= self.created_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_and_roles_come_back_from_their_text() {
        let nonce = Nonce::random().unwrap();
        assert_eq!(nonce.to_string().parse(), Ok(nonce));
        assert_eq!(Nonce::from_bytes([0xab; 16]).to_string(), "ab".repeat(16));
        for bad in ["", "AB", &"AB".repeat(16), &"ab".repeat(17), "+bababababababababababababababab"] {
            assert!(bad.parse::<Nonce>().is_err(), "{bad}");
        }
        for role in KeyRole::ALL {
            assert_eq!(role.to_string().parse(), Ok(*role));
        }
        assert!("Root".parse::<KeyRole>().is_err());
    }

    #[test]
    fn a_key_may_seem_five_minutes_older_than_its_intent() {
        let now = SystemTime::now();
        let intent = KeyIntent {
            nonce: Nonce::from_bytes([1; 16]),
            deployment: "0123456789abcdef".into(),
            role: KeyRole::Root,
            generation: 1,
            algorithm: SignatureAlgorithm::EcP384,
            created_at: now,
        };
        for (seconds, could) in [(0, true), (300, true), (301, false)] {
            assert_eq!(intent.could_be_made_at(now - Duration::from_secs(seconds)), could, "{seconds}");
        }
        assert!(intent.could_be_made_at(now + Duration::from_secs(3600)));
    }
}
