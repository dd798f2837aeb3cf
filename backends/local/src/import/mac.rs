//! What protects a PKCS#12 file from being altered: an HMAC under its password.

use super::ImportError;
use aws_lc_rs::{digest, hmac, pbkdf2};
use der::{
    Sequence,
    asn1::{ObjectIdentifier, OctetStringRef},
};
use pkcs8::{
    AlgorithmIdentifierRef,
    pkcs5::pbes2::{Kdf, Pbkdf2Prf},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// PBMAC1 (RFC 8018, A.5; for PKCS#12 RFC 9579).
const PBMAC1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");
/// The digests of RFC 5754, 2, and the HMACs of RFC 8018, B.1.2.
const HASHES: [(ObjectIdentifier, ObjectIdentifier, Hash); 3] = [
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        ObjectIdentifier::new_unwrap("1.2.840.113549.2.9"),
        Hash { hmac: hmac::HMAC_SHA256, digest: &digest::SHA256 },
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"),
        ObjectIdentifier::new_unwrap("1.2.840.113549.2.10"),
        Hash { hmac: hmac::HMAC_SHA384, digest: &digest::SHA384 },
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"),
        ObjectIdentifier::new_unwrap("1.2.840.113549.2.11"),
        Hash { hmac: hmac::HMAC_SHA512, digest: &digest::SHA512 },
    ),
];
/// What a password's work may cost, in rounds; a second or two.
const MOST_ROUNDS: u32 = 20_000_000;
/// The purpose of a MAC's key (RFC 7292, B.3).
const FOR_MAC: u8 = 3;

#[derive(Clone, Copy)]
struct Hash {
    hmac: hmac::Algorithm,
    digest: &'static digest::Algorithm,
}

/// MacData (RFC 7292, 4).
#[derive(Sequence)]
pub(super) struct MacData<'a> {
    mac: DigestInfo<'a>,
    salt: &'a OctetStringRef,
    #[asn1(default = "once")]
    iterations: u32,
}

fn once() -> u32 {
    1
}

/// DigestInfo (RFC 8017, 9.2).
#[derive(Sequence)]
struct DigestInfo<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    digest: &'a OctetStringRef,
}

/// PBMAC1-params (RFC 8018, A.5).
#[derive(Sequence)]
struct Pbmac1<'a> {
    kdf: AlgorithmIdentifierRef<'a>,
    scheme: AlgorithmIdentifierRef<'a>,
}

impl MacData<'_> {
    /// Whether the password is the file's, and the file as it was written.
    pub(super) fn check(&self, content: &[u8], password: Option<&SecretString>) -> Result<(), ImportError> {
        let algorithm = self.mac.algorithm;
        let (hash, key) = if algorithm.oid == PBMAC1 {
            let parameters = algorithm.parameters.ok_or(ImportError::Unreadable)?;
            let pbmac: Pbmac1<'_> = parameters.decode_as().map_err(|_| ImportError::Parameters)?;
            let hash = HASHES.iter().find(|(_, hmac, _)| *hmac == pbmac.scheme.oid);
            let hash = hash.ok_or(ImportError::Parameters)?.2;
            let kdf = Kdf::try_from(pbmac.kdf).map_err(|_| ImportError::Parameters)?;
            (hash, pbkdf2_key(&kdf, password)?)
        } else {
            // The other digests there are for this, MD5 and SHA-1, are of another age.
            let hash = HASHES.iter().find(|(digest, ..)| *digest == algorithm.oid);
            let hash = hash.ok_or(ImportError::Outdated)?.2;
            (hash, pkcs12_key(hash, password, self.salt.as_bytes(), self.iterations)?)
        };
        hmac::verify(&hmac::Key::new(hash.hmac, &key), content, self.mac.digest.as_bytes())
            .map_err(|_| ImportError::WrongPassword)
    }
}

fn pbkdf2_key(kdf: &Kdf, password: Option<&SecretString>) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let kdf = kdf.pbkdf2().ok_or(ImportError::Parameters)?;
    let algorithm = match kdf.prf {
        Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(ImportError::Outdated),
    };
    // RFC 9579, 4: the length stands there, and a short one makes a weak key.
    let length = kdf.key_length.filter(|length| (20..=64).contains(length)).ok_or(ImportError::Parameters)?;
    let rounds = NonZeroU32::new(kdf.iteration_count).filter(|rounds| rounds.get() <= MOST_ROUNDS);
    let rounds = rounds.ok_or(ImportError::Parameters)?;
    let password = password.ok_or(ImportError::PasswordWanted)?.expose_secret();
    let mut key = Zeroizing::new(vec![0; usize::from(length)]);
    pbkdf2::derive(algorithm, rounds, kdf.salt.as_ref(), password.as_bytes(), &mut key);
    Ok(key)
}

/// The key of an HMAC (RFC 7292, B.2), which is as long as the hash: one block.
fn pkcs12_key(
    hash: Hash,
    password: Option<&SecretString>,
    salt: &[u8],
    rounds: u32,
) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    if !(1..=MOST_ROUNDS).contains(&rounds) || salt.is_empty() {
        return Err(ImportError::Parameters);
    }
    let password = password.ok_or(ImportError::PasswordWanted)?.expose_secret();
    // BMPString with its terminator (RFC 7292, B.1).
    let units: Zeroizing<Vec<u16>> = Zeroizing::new(password.encode_utf16().chain([0]).collect());
    let password: Zeroizing<Vec<u8>> =
        Zeroizing::new(units.iter().flat_map(|unit| unit.to_be_bytes()).collect());
    let block = hash.digest.block_len();
    let mut input = Zeroizing::new(vec![FOR_MAC; block]);
    for part in [salt, &password] {
        let length = part.len().div_ceil(block) * block;
        input.extend(part.iter().cycle().take(length));
    }
    let mut key = Zeroizing::new(digest::digest(hash.digest, &input).as_ref().to_vec());
    for _ in 1..rounds {
        let next = digest::digest(hash.digest, &key);
        key.copy_from_slice(next.as_ref());
    }
    Ok(key)
}
