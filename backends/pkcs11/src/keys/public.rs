//! From what a token tells of a key to its SubjectPublicKeyInfo.

use super::attributes::Attributes;
use crate::{token::Desk, trouble::Trouble};
use catalyst_signing::SignatureAlgorithm as Algorithm;
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType as Set, ObjectHandle};
use der::{
    Decode as _, Encode as _, Sequence,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef},
};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use std::fmt;

/// The public half of a key, as far as one of its objects tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// CKA_KEY_TYPE.
    pub(crate) kind: Option<KeyType>,
    /// CKA_EC_PARAMS: DER.
    pub(crate) params: Option<Vec<u8>>,
    /// CKA_EC_POINT: an OCTET STRING around the point (PKCS#11 2.40, 2.3.3), or the point.
    pub(crate) point: Option<Vec<u8>>,
    /// CKA_MODULUS: big-endian.
    pub(crate) modulus: Option<Vec<u8>>,
    /// CKA_PUBLIC_EXPONENT: big-endian.
    pub(crate) exponent: Option<Vec<u8>>,
    /// CKA_PARAMETER_SET of an ML-DSA key.
    pub(crate) set: Option<Set>,
    /// CKA_VALUE of a public key; in a private one that would be the secret, and is never asked for.
    pub(crate) value: Option<Vec<u8>>,
    /// CKA_PUBLIC_KEY_INFO: SubjectPublicKeyInfo, DER.
    pub(crate) info: Option<Vec<u8>>,
}

/// A key's public half can't be made out, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(&'static str);

const OF_EITHER: &[AttributeType] = &[
    AttributeType::KeyType,
    AttributeType::EcParams,
    AttributeType::EcPoint,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::ParameterSet,
    AttributeType::PublicKeyInfo,
];

impl Parts {
    /// Of a public key object.
    pub(crate) fn of_public(desk: &Desk<'_>, object: ObjectHandle) -> Result<Self, Trouble> {
        let known = Attributes::read(desk, object, &[AttributeType::Value])?;
        let value = known.find(|a| if let Attribute::Value(value) = a { Some(value.clone()) } else { None });
        Ok(Self { value, ..Self::of_either(desk, object)? })
    }

    /// What a private key object tells of the public half: all of it, a part of it or nothing.
    pub(crate) fn of_private(desk: &Desk<'_>, object: ObjectHandle) -> Result<Self, Trouble> {
        Self::of_either(desk, object)
    }

    fn of_either(desk: &Desk<'_>, object: ObjectHandle) -> Result<Self, Trouble> {
        let known = Attributes::read(desk, object, OF_EITHER)?;
        let octets = |pick: fn(&Attribute) -> Option<&Vec<u8>>| {
            known.find(pick).filter(|value| !value.is_empty()).cloned()
        };
        Ok(Self {
            kind: known.find(|a| if let Attribute::KeyType(kind) = a { Some(*kind) } else { None }),
            params: octets(|a| if let Attribute::EcParams(v) = a { Some(v) } else { None }),
            point: octets(|a| if let Attribute::EcPoint(v) = a { Some(v) } else { None }),
            modulus: octets(|a| if let Attribute::Modulus(v) = a { Some(v) } else { None }),
            exponent: octets(|a| if let Attribute::PublicExponent(v) = a { Some(v) } else { None }),
            set: known
                .find(|a| if let Attribute::ParameterSet(set) = a { Some(Set::from(*set)) } else { None }),
            value: None,
            info: octets(|a| if let Attribute::PublicKeyInfo(v) = a { Some(v) } else { None }),
        })
    }

    /// SubjectPublicKeyInfo, DER: made of the parts, else what the token itself gives for it.
    ///
    /// # Errors
    /// What is missing or malformed.
    pub(crate) fn spki(&self) -> Result<Vec<u8>, Unreadable> {
        self.made().or_else(|why| {
            let info = self.info.as_ref().ok_or(why)?;
            SubjectPublicKeyInfoRef::from_der(info)
                .map_err(|_| Unreadable("its CKA_PUBLIC_KEY_INFO is no SubjectPublicKeyInfo"))?;
            Ok(info.clone())
        })
    }

    fn made(&self) -> Result<Vec<u8>, Unreadable> {
        match self.kind {
            Some(KeyType::EC) => self.ec(),
            Some(KeyType::EC_EDWARDS) => self.edwards(),
            Some(KeyType::RSA) => self.rsa(),
            Some(KeyType::ML_DSA) => self.ml_dsa(),
            Some(_) => Err(Unreadable("it is of a type that no algorithm here uses")),
            None => Err(Unreadable("its CKA_KEY_TYPE is missing")),
        }
    }

    fn ec(&self) -> Result<Vec<u8>, Unreadable> {
        let curve = self.curve().ok_or(Unreadable("its CKA_EC_PARAMS name no curve"))?;
        let width = match curve {
            P256 => 32,
            P384 => 48,
            _ => return Err(Unreadable("it is on a curve that no algorithm here uses")),
        };
        let point = self.point(2 * width + 1)?;
        if point.first() != Some(&4) {
            return Err(Unreadable("its CKA_EC_POINT is not uncompressed"));
        }
        encode(EC_PUBLIC_KEY, Some(AnyRef::from(&curve)), point)
    }

    fn edwards(&self) -> Result<Vec<u8>, Unreadable> {
        match &self.params {
            Some(params) if is_ed25519(params) => encode(ED25519, None, self.point(32)?),
            _ => Err(Unreadable("its CKA_EC_PARAMS do not name edwards25519")),
        }
    }

    fn rsa(&self) -> Result<Vec<u8>, Unreadable> {
        let (Some(n), Some(e)) = (&self.modulus, &self.exponent) else {
            return Err(Unreadable("its CKA_MODULUS or CKA_PUBLIC_EXPONENT is missing"));
        };
        let unsigned = |octets| UintRef::new(octets).map_err(|_| Unreadable("its RSA numbers are too long"));
        let key = RsaPublicKey { modulus: unsigned(n)?, public_exponent: unsigned(e)? };
        let key = key.to_der().map_err(|_| Unreadable("its RSA numbers are too long"))?;
        encode(RSA_ENCRYPTION, Some(AnyRef::NULL), &key)
    }

    fn ml_dsa(&self) -> Result<Vec<u8>, Unreadable> {
        let value = self.value.as_ref().ok_or(Unreadable("its CKA_VALUE is missing"))?;
        match (self.set, value.len()) {
            (Some(Set::ML_DSA_65), 1952) => encode(ML_DSA_65, None, value),
            (Some(Set::ML_DSA_87), 2592) => encode(ML_DSA_87, None, value),
            (Some(Set::ML_DSA_65 | Set::ML_DSA_87), _) => {
                Err(Unreadable("its CKA_VALUE is not as long as its CKA_PARAMETER_SET wants it"))
            }
            _ => Err(Unreadable("its CKA_PARAMETER_SET is missing, or none that an algorithm here uses")),
        }
    }

    /// The point without an OCTET STRING around it; `length` is what the curve wants.
    fn point(&self, length: usize) -> Result<&[u8], Unreadable> {
        let given = self.point.as_deref().ok_or(Unreadable("its CKA_EC_POINT is missing"))?;
        if given.len() == length {
            return Ok(given);
        }
        match <&OctetStringRef>::from_der(given) {
            Ok(inner) if inner.as_bytes().len() == length => Ok(inner.as_bytes()),
            _ => Err(Unreadable("its CKA_EC_POINT is not as long as an uncompressed point of its curve")),
        }
    }

    fn curve(&self) -> Option<ObjectIdentifier> {
        ObjectIdentifier::from_der(self.params.as_deref()?).ok()
    }

    /// Whether this may be a key of the algorithm: nothing that is known speaks against it.
    pub(crate) fn may_be(&self, algorithm: Algorithm) -> bool {
        let ec =
            |curve| self.kind == Some(KeyType::EC) && (self.params.is_none() || self.curve() == Some(curve));
        let rsa = |octets| {
            self.kind == Some(KeyType::RSA)
                && self.modulus.as_deref().is_none_or(|n| significant(n).len() == octets)
        };
        let ml_dsa = |set| self.kind == Some(KeyType::ML_DSA) && self.set.is_none_or(|own| own == set);
        match algorithm {
            Algorithm::EcP384 => ec(P384),
            Algorithm::EcP256 => ec(P256),
            Algorithm::Rsa3072 | Algorithm::Rsa3072Pss => rsa(384),
            Algorithm::Rsa4096 | Algorithm::Rsa4096Pss => rsa(512),
            Algorithm::Ed25519 => {
                self.kind == Some(KeyType::EC_EDWARDS) && self.params.as_deref().is_none_or(is_ed25519)
            }
            Algorithm::MlDsa65 => ml_dsa(Set::ML_DSA_65),
            Algorithm::MlDsa87 => ml_dsa(Set::ML_DSA_87),
            _ => false,
        }
    }
}

/// What it is, for people: "an RSA key of 2048 bits".
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |octets: &[u8]| {
            let octets = significant(octets);
            octets.len() * 8 - octets.first().map_or(0, |top| top.leading_zeros() as usize)
        };
        match (self.kind, self.curve()) {
            (Some(KeyType::EC), Some(P256)) => f.write_str("an EC key on P-256"),
            (Some(KeyType::EC), Some(P384)) => f.write_str("an EC key on P-384"),
            (Some(KeyType::EC), Some(curve)) => write!(f, "an EC key on the curve {curve}"),
            (Some(KeyType::EC), None) => f.write_str("an EC key on an unnamed curve"),
            (Some(KeyType::EC_EDWARDS), _) => f.write_str(match self.params.as_deref() {
                Some(params) if is_ed25519(params) => "an Ed25519 key",
                _ => "an Edwards key on another curve than edwards25519",
            }),
            (Some(KeyType::RSA), _) => match &self.modulus {
                Some(modulus) => write!(f, "an RSA key of {} bits", bits(modulus)),
                None => f.write_str("an RSA key"),
            },
            (Some(KeyType::ML_DSA), _) => f.write_str(match self.set {
                Some(Set::ML_DSA_44) => "an ML-DSA-44 key",
                Some(Set::ML_DSA_65) => "an ML-DSA-65 key",
                Some(Set::ML_DSA_87) => "an ML-DSA-87 key",
                _ => "an ML-DSA key of an unknown parameter set",
            }),
            (Some(kind), _) => write!(f, "a key of type {kind}"),
            (None, _) => f.write_str("a key of an unknown type"),
        }
    }
}

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

/// CKA_EC_PARAMS of P-256 and P-384: the named curve (RFC 5480, 2.1.1.1).
pub(crate) const P256_PARAMS: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
pub(crate) const P384_PARAMS: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";

/// CKA_EC_PARAMS of Ed25519 as a curveName (PKCS#11 3.0, 2.3.5).
pub(crate) const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";
/// As id-Ed25519 (RFC 8410, 3), which PKCS#11 3.1 takes too.
pub(crate) const ED25519_OID: &[u8] = b"\x06\x03\x2b\x65\x70";
/// As GnuPG's OID for it, which some tokens took before either.
pub(crate) const ED25519_OLD_OID: &[u8] = b"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01";

fn is_ed25519(params: &[u8]) -> bool {
    [ED25519_NAME, ED25519_OID, ED25519_OLD_OID].contains(&params)
}

/// Without the zeros that some tokens put before a number.
fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    &number[zeros..]
}

fn encode(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, key: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let too_long = |_| Unreadable("it is too long for a SubjectPublicKeyInfo");
    let subject_public_key = BitStringRef::from_bytes(key).map_err(too_long)?;
    let algorithm = AlgorithmIdentifierRef { oid, parameters };
    SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().map_err(too_long)
}

#[cfg(test)]
mod tests;
