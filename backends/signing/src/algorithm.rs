//! The one table of algorithms: name, X.509 identifier and verifier of each.

use aws_lc_rs::{
    digest,
    signature::{self as alc, ParsedPublicKey, VerificationAlgorithm},
};
use const_oid::{
    ObjectIdentifier,
    db::{fips204, rfc5912, rfc8410},
};
use der::{
    Decode, Sequence,
    asn1::{AnyRef, UintRef},
};
use spki::SubjectPublicKeyInfoRef;
use std::{fmt, str::FromStr};

/// How a key signs; fixed when the key is pinned, so a CA has one signature algorithm for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA on P-384 with SHA-384 (RFC 5758): the default.
    EcP384,
    /// ECDSA on P-256 with SHA-256 (RFC 5758).
    EcP256,
    /// RSA of 3072 bits, PKCS#1 v1.5 with SHA-256 (RFC 4055).
    Rsa3072,
    /// RSA of 4096 bits, PKCS#1 v1.5 with SHA-256 (RFC 4055).
    Rsa4096,
    /// RSA of 3072 bits, PSS with SHA-256, MGF1-SHA-256 and a salt of 32 octets (RFC 4055).
    Rsa3072Pss,
    /// RSA of 4096 bits, PSS with SHA-256, MGF1-SHA-256 and a salt of 32 octets (RFC 4055).
    Rsa4096Pss,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// ML-DSA-65, pure mode, empty context (RFC 9881).
    MlDsa65,
    /// ML-DSA-87, pure mode, empty context (RFC 9881).
    MlDsa87,
}

/// The name is none of [`SignatureAlgorithm::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown algorithm '{0}': use one of EC-P384, EC-P256, RSA-3072, RSA-4096, RSA-3072-PSS, RSA-4096-PSS, \
     ED25519, ML-DSA-65, ML-DSA-87"
)]
pub struct UnknownAlgorithm(pub String);

impl SignatureAlgorithm {
    /// The longest signature there is, that of ML-DSA-87 (FIPS 204, table 2), in octets.
    pub const LONGEST_SIGNATURE: usize = 4627;

    /// Every algorithm, the default first.
    pub const ALL: &[Self] = &[
        Self::EcP384,
        Self::EcP256,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Rsa3072Pss,
        Self::Rsa4096Pss,
        Self::Ed25519,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The name users write and read: `EC-P384`, `RSA-3072-PSS`, `ML-DSA-65`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// DER AlgorithmIdentifier for `signatureAlgorithm` (RFC 5280, 4.1.1.2).
    pub fn identifier_der(self) -> &'static [u8] {
        self.row().identifier
    }

    /// Reads a SubjectPublicKeyInfo (DER) for verifying. `None`: these bytes are no key of this algorithm: another
    /// kind or curve, another RSA size, a bare point instead of an SPKI.
    pub fn verifier(self, spki: &[u8]) -> Option<ParsedPublicKey> {
        let row = self.row();
        row.key.matches(spki).then(|| ParsedPublicKey::new(row.verify, spki).ok()).flatten()
    }

    /// Whether `signature` is this algorithm's signature over `message` under `spki` (DER). An unreadable key
    /// verifies nothing.
    pub fn verify(self, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.verifier(spki).is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }

    /// The digest of a message that is signed in its place, for key stores that take one: SHA-384 for EC-P384, SHA-256
    /// for EC-P256 and RSA. `None`: the message itself is signed.
    pub fn digest(self, message: &[u8]) -> Option<Vec<u8>> {
        let hash = match self {
            Self::EcP384 => &digest::SHA384,
            Self::EcP256 | Self::Rsa3072 | Self::Rsa4096 | Self::Rsa3072Pss | Self::Rsa4096Pss => {
                &digest::SHA256
            }
            Self::Ed25519 | Self::MlDsa65 | Self::MlDsa87 => return None,
        };
        Some(digest::digest(hash, message).as_ref().to_vec())
    }

    fn row(self) -> &'static Row {
        match self {
            Self::EcP384 => &EC_P384,
            Self::EcP256 => &EC_P256,
            Self::Rsa3072 => &RSA_3072,
            Self::Rsa4096 => &RSA_4096,
            Self::Rsa3072Pss => &RSA_3072_PSS,
            Self::Rsa4096Pss => &RSA_4096_PSS,
            Self::Ed25519 => &ED25519,
            Self::MlDsa65 => &ML_DSA_65,
            Self::MlDsa87 => &ML_DSA_87,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.iter().copied().find(|a| a.name() == name).ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

struct Row {
    name: &'static str,
    identifier: &'static [u8],
    key: KeyKind,
    verify: &'static dyn VerificationAlgorithm,
}

static EC_P384: Row = Row {
    name: "EC-P384",
    identifier: b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
    key: KeyKind::Ec { curve: rfc5912::SECP_384_R_1, point: 97 },
    verify: &alc::ECDSA_P384_SHA384_ASN1,
};
static EC_P256: Row = Row {
    name: "EC-P256",
    identifier: b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
    key: KeyKind::Ec { curve: rfc5912::SECP_256_R_1, point: 65 },
    verify: &alc::ECDSA_P256_SHA256_ASN1,
};
static RSA_3072: Row = Row {
    name: "RSA-3072",
    identifier: SHA256_WITH_RSA,
    key: KeyKind::Rsa { octets: 384 },
    verify: &alc::RSA_PKCS1_2048_8192_SHA256,
};
static RSA_4096: Row = Row {
    name: "RSA-4096",
    identifier: SHA256_WITH_RSA,
    key: KeyKind::Rsa { octets: 512 },
    verify: &alc::RSA_PKCS1_2048_8192_SHA256,
};
static RSA_3072_PSS: Row = Row {
    name: "RSA-3072-PSS",
    identifier: RSASSA_PSS_SHA256,
    key: KeyKind::Rsa { octets: 384 },
    verify: &alc::RSA_PSS_2048_8192_SHA256,
};
static RSA_4096_PSS: Row = Row {
    name: "RSA-4096-PSS",
    identifier: RSASSA_PSS_SHA256,
    key: KeyKind::Rsa { octets: 512 },
    verify: &alc::RSA_PSS_2048_8192_SHA256,
};
static ED25519: Row = Row {
    name: "ED25519",
    identifier: b"\x30\x05\x06\x03\x2b\x65\x70",
    key: KeyKind::Plain { algorithm: rfc8410::ID_ED_25519 },
    verify: &alc::ED25519,
};
static ML_DSA_65: Row = Row {
    name: "ML-DSA-65",
    identifier: b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12",
    key: KeyKind::Plain { algorithm: fips204::ID_ML_DSA_65 },
    verify: &alc::ML_DSA_65,
};
static ML_DSA_87: Row = Row {
    name: "ML-DSA-87",
    identifier: b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13",
    key: KeyKind::Plain { algorithm: fips204::ID_ML_DSA_87 },
    verify: &alc::ML_DSA_87,
};

/// sha256WithRSAEncryption, parameters NULL (RFC 4055, 5).
const SHA256_WITH_RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";

/// id-RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt 32, trailer field default (RFC 4055, 3.1). Hash parameters
/// are NULL, the one encoding the CA/Browser Forum's Baseline Requirements (7.1.3.2) allow.
const RSASSA_PSS_SHA256: &[u8] = b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\
    \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
    \xa2\x03\x02\x01\x20";

/// What an SPKI must look like. aws-lc-rs alone is too lenient for a pin: it also takes bare points and any RSA size.
enum KeyKind {
    /// id-ecPublicKey on a named curve, uncompressed point of so many octets (RFC 5480, 2.1.1, 2.2).
    Ec { curve: ObjectIdentifier, point: usize },
    /// rsaEncryption with parameters NULL and a modulus of exactly so many octets (RFC 3279, 2.3.1).
    Rsa { octets: usize },
    /// An algorithm without parameters (RFC 8410, RFC 9881).
    Plain { algorithm: ObjectIdentifier },
}

impl KeyKind {
    fn matches(&self, spki: &[u8]) -> bool {
        let Ok(info) = SubjectPublicKeyInfoRef::from_der(spki) else { return false };
        let (algorithm, key) = (info.algorithm, info.subject_public_key.as_bytes().unwrap_or_default());
        match *self {
            Self::Ec { curve, point } => {
                algorithm.oid == rfc5912::ID_EC_PUBLIC_KEY
                    && algorithm.parameters_oid() == Ok(curve)
                    && key.len() == point
                    && key.first() == Some(&4)
            }
            Self::Rsa { octets } => {
                algorithm.oid == rfc5912::RSA_ENCRYPTION
                    && algorithm.parameters == Some(AnyRef::NULL)
                    && RsaPublicKey::from_der(key).is_ok_and(|rsa| rsa.is_sound(octets))
            }
            Self::Plain { algorithm: oid } => algorithm.oid == oid && algorithm.parameters.is_none(),
        }
    }
}

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

impl RsaPublicKey<'_> {
    /// A modulus of exactly `8 * octets` bits (the top one set), an odd exponent of at least 65537 as the Baseline
    /// Requirements (6.1.6) want it.
    fn is_sound(&self, octets: usize) -> bool {
        let (n, e) = (self.modulus.as_bytes(), self.public_exponent.as_bytes());
        n.len() == octets
            && n.first().is_some_and(|top| top & 0x80 != 0)
            && e.len() >= 3
            && e.last().is_some_and(|low| low & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        rand::SystemRandom,
        rsa::KeySize,
        signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, PqdsaKeyPair, RsaKeyPair},
    };
    use spki::AlgorithmIdentifierRef;

    fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
        key.as_der().unwrap().as_ref().to_vec()
    }

    #[test]
    fn names_come_back_and_others_are_listed() {
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(*algorithm));
        }
        let error = "ec-p384".parse::<SignatureAlgorithm>().unwrap_err().to_string();
        for algorithm in SignatureAlgorithm::ALL {
            assert!(error.contains(algorithm.name()), "{error}");
        }
    }

    #[test]
    fn identifiers_are_der_with_the_registered_oids() {
        let expected = [
            "1.2.840.10045.4.3.3",
            "1.2.840.10045.4.3.2",
            "1.2.840.113549.1.1.11",
            "1.2.840.113549.1.1.11",
            "1.2.840.113549.1.1.10",
            "1.2.840.113549.1.1.10",
            "1.3.101.112",
            "2.16.840.1.101.3.4.3.18",
            "2.16.840.1.101.3.4.3.19",
        ];
        for (algorithm, oid) in SignatureAlgorithm::ALL.iter().zip(expected) {
            let identifier = AlgorithmIdentifierRef::from_der(algorithm.identifier_der()).unwrap();
            assert_eq!(identifier.oid.to_string(), oid, "{algorithm}");
        }
    }

    /// Each key is taken by the algorithms that it serves and by no other.
    #[test]
    fn a_verifier_takes_its_own_keys_alone() {
        use SignatureAlgorithm as A;
        let rsa = |size| der(RsaKeyPair::generate(size).unwrap().public_key());
        let ec = |algorithm| der(EcdsaKeyPair::generate(algorithm).unwrap().public_key());
        let ml_dsa = |algorithm| der(PqdsaKeyPair::generate(algorithm).unwrap().public_key());
        let keys: Vec<(Vec<u8>, &[A])> = vec![
            (ec(&alc::ECDSA_P384_SHA384_ASN1_SIGNING), &[A::EcP384]),
            (ec(&alc::ECDSA_P256_SHA256_ASN1_SIGNING), &[A::EcP256]),
            (ec(&alc::ECDSA_P521_SHA512_ASN1_SIGNING), &[]),
            (ec(&alc::ECDSA_P256K1_SHA256_ASN1_SIGNING), &[]),
            (rsa(KeySize::Rsa2048), &[]),
            (rsa(KeySize::Rsa3072), &[A::Rsa3072, A::Rsa3072Pss]),
            (rsa(KeySize::Rsa4096), &[A::Rsa4096, A::Rsa4096Pss]),
            (der(Ed25519KeyPair::generate().unwrap().public_key()), &[A::Ed25519]),
            (ml_dsa(&alc::ML_DSA_44_SIGNING), &[]),
            (ml_dsa(&alc::ML_DSA_65_SIGNING), &[A::MlDsa65]),
            (ml_dsa(&alc::ML_DSA_87_SIGNING), &[A::MlDsa87]),
        ];
        for (spki, takes) in &keys {
            for algorithm in A::ALL {
                assert_eq!(
                    algorithm.verifier(spki).is_some(),
                    takes.contains(algorithm),
                    "{algorithm}: {takes:?}"
                );
            }
            let longer = [&spki[..], &[0]].concat();
            let cut = &spki[..spki.len() - 1];
            assert!(A::ALL.iter().all(|a| a.verifier(&longer).is_none() && a.verifier(cut).is_none()));
        }
    }

    #[test]
    fn a_bare_point_or_key_is_no_spki() {
        let ec = EcdsaKeyPair::generate(&alc::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        assert!(SignatureAlgorithm::EcP384.verifier(ec.public_key().as_ref()).is_none());
        let ed = Ed25519KeyPair::generate().unwrap();
        assert!(SignatureAlgorithm::Ed25519.verifier(ed.public_key().as_ref()).is_none());
    }

    #[test]
    fn the_paddings_of_rsa_are_not_exchangeable() {
        let key = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
        let spki = der(key.public_key());
        let sign = |padding: &'static dyn alc::RsaEncoding| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(padding, &SystemRandom::new(), b"m", &mut signature).unwrap();
            signature
        };
        let (pkcs1, pss) = (sign(&alc::RSA_PKCS1_SHA256), sign(&alc::RSA_PSS_SHA256));
        assert!(SignatureAlgorithm::Rsa3072.verify(&spki, b"m", &pkcs1));
        assert!(SignatureAlgorithm::Rsa3072Pss.verify(&spki, b"m", &pss));
        assert!(!SignatureAlgorithm::Rsa3072.verify(&spki, b"m", &pss));
        assert!(!SignatureAlgorithm::Rsa3072Pss.verify(&spki, b"m", &pkcs1));
        assert!(!SignatureAlgorithm::Rsa3072.verify(&spki, b"n", &pkcs1));
        assert!(!SignatureAlgorithm::Rsa3072.verify(b"", b"m", &pkcs1));
    }
}
