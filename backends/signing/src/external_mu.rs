//! The hash that ML-DSA signs, for key stores that take it in a message's place.

use sha3::{
    Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};
use spki::{SubjectPublicKeyInfoRef, der::Decode};

/// µ of ML-DSA with an empty context (FIPS 204, algorithms 2 and 7): SHAKE256(SHAKE256(pk, 64) ‖ 0 ‖ 0 ‖ M, 64).
///
/// `spki` is the key's SubjectPublicKeyInfo (DER); `None`: it is none.
pub(crate) fn external_mu(spki: &[u8], message: &[u8]) -> Option<[u8; 64]> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    let raw = spki.subject_public_key.as_bytes()?;
    Some(shake(&[&shake(&[raw]), &[0, 0], message]))
}

fn shake(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Shake256::default();
    for part in parts {
        hash.update(part);
    }
    let mut output = [0; 64];
    hash.finalize_xof().read(&mut output);
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        encoding::AsDer,
        signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair},
    };

    /// Another implementation of FIPS 204 made a signature of this µ with this key, and it verifies over the message.
    const MU: &str = "e479f5b89203762127a2819ea278602c9464fe9deb2f0d33c23d32495b9040a3\
                      0f12f7daa83f27d0292a8c7141c93256844b76911c2ac4af6d9124331cd746f4";

    #[test]
    fn mu_is_what_another_implementation_signs() {
        let seed: Vec<u8> = (0..32).collect();
        let key = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, &seed).unwrap();
        let spki = key.public_key().as_der().unwrap();
        let mu = external_mu(spki.as_ref(), &[7; 5000]).unwrap();
        assert_eq!(mu.iter().map(|octet| format!("{octet:02x}")).collect::<String>(), MU);
        assert_eq!(external_mu(&[0x30], &[7; 5000]), None);
    }
}
