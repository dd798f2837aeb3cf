//! Strict conversion between the two forms of an ECDSA signature: fixed-width `r‖s`, as PKCS#11 gives it, and DER
//! ECDSA-Sig-Value, as X.509 wants it (RFC 3279, 2.2.3).
//!
//! Each signature has exactly one form of either kind here: what is not minimal, not positive or not of the curve's
//! width is refused. Whether `r` and `s` lie below the group order is for the verification that follows to say.

/// A curve of the algorithm table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// `r` and `s` of 32 octets each.
    P256,
    /// `r` and `s` of 48 octets each.
    P384,
}

impl Curve {
    /// Octets of `r`, and of `s`.
    pub fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// Not a signature of that form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed ECDSA signature value: {0}")]
pub struct MalformedSignature(&'static str);

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// `r‖s`, each of the curve's width, to DER.
///
/// # Errors
/// Another length than twice the width; `r` or `s` zero.
pub fn der_from_fixed(curve: Curve, fixed: &[u8]) -> Result<Vec<u8>, MalformedSignature> {
    if fixed.len() != 2 * curve.width() {
        return Err(MalformedSignature("r‖s is not twice the curve's width"));
    }
    let (r, s) = fixed.split_at(curve.width());
    let mut content = Vec::with_capacity(fixed.len() + 6);
    for scalar in [r, s] {
        push_integer(&mut content, scalar)?;
    }
    // Both curves stay below 128 octets, so every length takes one octet.
    let mut der = vec![SEQUENCE, content.len() as u8];
    der.append(&mut content);
    Ok(der)
}

/// DER to `r‖s`, each of the curve's width.
///
/// # Errors
/// Anything but the one DER encoding of two positive integers that fit the width: non-minimal integers or lengths,
/// negative or zero values, octets left over.
pub fn fixed_from_der(curve: Curve, der: &[u8]) -> Result<Vec<u8>, MalformedSignature> {
    let (content, after) = take(der, SEQUENCE)?;
    let (r, rest) = take(content, INTEGER)?;
    let (s, end) = take(rest, INTEGER)?;
    if !after.is_empty() || !end.is_empty() {
        return Err(MalformedSignature("octets left over"));
    }
    let mut fixed = Vec::with_capacity(2 * curve.width());
    for integer in [r, s] {
        let magnitude = magnitude(integer)?;
        let padding = curve
            .width()
            .checked_sub(magnitude.len())
            .ok_or(MalformedSignature("an integer too long for the curve"))?;
        fixed.resize(fixed.len() + padding, 0);
        fixed.extend_from_slice(magnitude);
    }
    Ok(fixed)
}

fn push_integer(der: &mut Vec<u8>, scalar: &[u8]) -> Result<(), MalformedSignature> {
    let first = scalar.iter().position(|&octet| octet != 0).ok_or(MalformedSignature("r or s is zero"))?;
    let magnitude = &scalar[first..];
    let sign = usize::from(magnitude[0] & 0x80 != 0);
    der.extend_from_slice(&[INTEGER, (magnitude.len() + sign) as u8]);
    der.resize(der.len() + sign, 0);
    der.extend_from_slice(magnitude);
    Ok(())
}

/// The content of the element at the start, and what follows it. Short lengths only: no other occurs here.
fn take(der: &[u8], tag: u8) -> Result<(&[u8], &[u8]), MalformedSignature> {
    match der {
        [found, length @ 0..0x80, rest @ ..] if *found == tag => {
            rest.split_at_checked(usize::from(*length)).ok_or(MalformedSignature("cut short"))
        }
        _ => Err(MalformedSignature("not a SEQUENCE of two INTEGERs in DER")),
    }
}

/// A positive DER integer's octets without the sign octet.
fn magnitude(integer: &[u8]) -> Result<&[u8], MalformedSignature> {
    match integer {
        [] | [0] => Err(MalformedSignature("r or s is zero or empty")),
        [0, next, ..] if next & 0x80 == 0 => Err(MalformedSignature("an integer is not minimal")),
        [0, magnitude @ ..] => Ok(magnitude),
        [first, ..] if first & 0x80 != 0 => Err(MalformedSignature("r or s is negative")),
        magnitude => Ok(magnitude),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, UnparsedPublicKey},
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        },
    };
    use proptest::prelude::*;

    const CURVES: [Curve; 2] = [Curve::P256, Curve::P384];

    #[test]
    fn real_signatures_verify_after_conversion_and_come_back() {
        for _ in 0..100 {
            let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
            let fixed = key.sign(&SystemRandom::new(), b"m").unwrap();
            let der = der_from_fixed(Curve::P384, fixed.as_ref()).unwrap();
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, key.public_key()).verify(b"m", &der).unwrap();
            assert_eq!(fixed_from_der(Curve::P384, &der).unwrap(), fixed.as_ref());

            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let fixed = key.sign(&SystemRandom::new(), b"m").unwrap();
            let der = der_from_fixed(Curve::P256, fixed.as_ref()).unwrap();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key()).verify(b"m", &der).unwrap();
        }
    }

    #[test]
    fn every_malformed_value_is_refused() {
        let one = |der: &[u8]| fixed_from_der(Curve::P256, der);
        assert!(one(&[0x30, 6, 2, 1, 1, 2, 1, 1]).is_ok());
        let bad: &[&[u8]] = &[
            b"",
            &[0x30],
            &[0x30, 0],
            &[0x30, 3, 2, 1, 1],
            &[0x30, 6, 2, 1, 0, 2, 1, 1],
            &[0x30, 6, 2, 1, 1, 2, 1, 0],
            &[0x30, 5, 2, 0, 2, 1, 1],
            &[0x30, 6, 2, 1, 0x80, 2, 1, 1],
            &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],
            &[0x30, 7, 2, 1, 1, 2, 2, 0, 0x7f],
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0],
            &[0x30, 7, 2, 0x81, 1, 1, 2, 1, 1],
            &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],
            &[0x30, 7, 2, 1, 1, 2, 1, 1, 0],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 6, 3, 1, 1, 2, 1, 1],
        ];
        for der in bad {
            assert!(one(der).is_err(), "{der:02x?}");
        }
        let mut long = vec![0x30, 38, 2, 33];
        long.extend([1; 33]);
        long.extend([2, 1, 1]);
        assert_eq!(one(&long), Err(MalformedSignature("an integer too long for the curve")));
        for curve in CURVES {
            let width = curve.width();
            assert!(der_from_fixed(curve, &vec![0; 2 * width]).is_err());
            assert!(der_from_fixed(curve, &vec![1; 2 * width - 1]).is_err());
            assert!(der_from_fixed(curve, &vec![1; 2 * width + 1]).is_err());
            let zero_s = [vec![1; width], vec![0; width]].concat();
            assert!(der_from_fixed(curve, &zero_s).is_err());
        }
    }

    proptest! {
        #[test]
        fn there_and_back(
            mut fixed in proptest::collection::vec(any::<u8>(), 96),
            zeros in 0usize..32,
            curve in prop_oneof![Just(Curve::P256), Just(Curve::P384)],
        ) {
            fixed.truncate(2 * curve.width());
            fixed[..zeros].fill(0);
            fixed[curve.width() - 1] |= 1;
            *fixed.last_mut().unwrap() |= 1;
            let der = der_from_fixed(curve, &fixed).unwrap();
            prop_assert_eq!(fixed_from_der(curve, &der).unwrap(), fixed);
        }

        /// What is accepted is the one encoding of its value.
        #[test]
        fn no_second_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..12), at in 0usize..8, octet: u8) {
            let mut near = vec![0x30, 6, 2, 1, 1, 2, 1, 1];
            near[at] = octet;
            near.extend(bytes);
            for curve in CURVES {
                if let Ok(fixed) = fixed_from_der(curve, &near) {
                    prop_assert_eq!(der_from_fixed(curve, &fixed).unwrap(), near.clone());
                }
            }
        }
    }
}
