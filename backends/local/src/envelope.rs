//! PKCS#8 in and out: a private key with its intent as an attribute, encrypted under the passphrase.
//!
//! PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC; scrypt's output feeds the cipher directly, so there is no
//! PRF to choose. Files that `openssl pkcs8` wrote with PBKDF2 open too.

use crate::error::LocalError;
use aws_lc_rs::rand;
use der::{
    Decode, Encode, EncodePem, Sequence, ValueOrd,
    asn1::{Any, AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, SetOfVec},
    pem,
};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, LineEnding, SecretDocument,
    pkcs5::{EncryptionScheme, pbes2, scrypt},
};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use zeroize::Zeroizing;

/// localKeyId (PKCS #9, RFC 2985, 5.5.2): an OCTET STRING that identifies the key.
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");

/// How much work scrypt costs. Only tests make another than [`Cost::FULL`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    log_n: u8,
    r: u32,
    p: u32,
}

impl Cost {
    /// N = 16384, r = 8, p = 5: the most that `openssl pkey` opens by default.
    pub(crate) const FULL: Self = Self { log_n: 14, r: 8, p: 5 };

    #[cfg(test)]
    pub(crate) const TEST: Self = Self { log_n: 4, r: 8, p: 1 };
}

/// PrivateKeyInfo (RFC 5208, 5) or OneAsymmetricKey (RFC 5958, 2).
#[derive(Sequence)]
struct KeyInfo<'a> {
    version: u8,
    algorithm: AlgorithmIdentifierRef<'a>,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    attributes: Option<SetOfVec<Attribute>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

/// Attribute (RFC 5280, A.1).
#[derive(Clone, Debug, Sequence, ValueOrd)]
struct Attribute {
    oid: ObjectIdentifier,
    values: SetOfVec<Any>,
}

/// A decrypted key file; what is secret in it is zeroized on drop.
pub(crate) struct Opened {
    /// PrivateKeyInfo or OneAsymmetricKey (DER), attributes included.
    pub(crate) pkcs8: SecretDocument,
    /// What the file says it was made for; `carried::check` judges it.
    pub(crate) carried: Option<Vec<u8>>,
    /// The private key's octets, which vouch for `carried`.
    pub(crate) private_key: Zeroizing<Vec<u8>>,
}

impl Opened {
    fn new(pkcs8: SecretDocument) -> Option<Self> {
        let info = KeyInfo::from_der(pkcs8.as_bytes()).ok()?;
        let attribute = info.attributes.iter().flat_map(|set| set.iter()).find(|a| a.oid == LOCAL_KEY_ID);
        let value =
            attribute.and_then(|a| a.values.get(0)).and_then(|v| v.decode_as::<&OctetStringRef>().ok());
        let carried = value.map(|octets| octets.as_bytes().to_vec());
        let private_key = Zeroizing::new(info.private_key.as_bytes().to_vec());
        Some(Self { pkcs8, carried, private_key })
    }
}

/// The private key's octets, which vouch for the attribute.
pub(crate) fn private_key(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, LocalError> {
    let info = KeyInfo::from_der(pkcs8).map_err(|_| LocalError::Crypto("encoding a key"))?;
    Ok(Zeroizing::new(info.private_key.as_bytes().to_vec()))
}

/// The algorithm of a key (PKCS#8, DER).
pub(crate) fn algorithm(pkcs8: &[u8]) -> Option<ObjectIdentifier> {
    KeyInfo::from_der(pkcs8).ok().map(|info| info.algorithm.oid)
}

/// The key (PKCS#8, DER) and nothing that stands beside it.
pub(crate) fn without_attributes(pkcs8: &[u8]) -> der::Result<Zeroizing<Vec<u8>>> {
    let mut info = KeyInfo::from_der(pkcs8)?;
    info.attributes = None;
    info.to_der().map(Zeroizing::new)
}

/// The PEM of a key (PKCS#8, DER) and nothing that stands beside it, unencrypted.
pub(crate) fn plain_pem(pkcs8: &[u8]) -> der::Result<Zeroizing<String>> {
    let pem = pem::encode_string("PRIVATE KEY", LineEnding::LF, &without_attributes(pkcs8)?);
    Ok(Zeroizing::new(pem?))
}

/// The PEM of a key (PKCS#8, DER) with its attribute, encrypted.
pub(crate) fn lock(
    pkcs8: &[u8],
    carried: &[u8],
    passphrase: &SecretString,
    cost: Cost,
) -> Result<String, LocalError> {
    let plain = with_attribute(pkcs8, carried).map_err(|_| LocalError::Crypto("encoding a key"))?;
    lock_plain(&plain, passphrase, cost)
}

/// The PEM of a key (PKCS#8, DER) as it is, encrypted.
pub(crate) fn lock_plain(plain: &[u8], passphrase: &SecretString, cost: Cost) -> Result<String, LocalError> {
    let scheme = fresh_parameters(cost)?;
    let sealed = scheme
        .encrypt(passphrase.expose_secret(), plain)
        .map_err(|_| LocalError::Crypto("encrypting a key"))?;
    let pem = OctetStringRef::new(&sealed).and_then(|encrypted_data| {
        EncryptedPrivateKeyInfoRef { encryption_algorithm: scheme.into(), encrypted_data }
            .to_pem(LineEnding::LF)
    });
    pem.map_err(|_| LocalError::Crypto("encoding a key"))
}

/// Decrypts what `lock` or `openssl pkcs8 -topk8` wrote; `path` is for the errors. Takes as long as scrypt does.
pub(crate) fn unlock(pem: &[u8], passphrase: &SecretString, path: &Path) -> Result<Opened, LocalError> {
    let (label, der) = pem::decode_vec(pem).map_err(|_| LocalError::Truncated(path.to_owned()))?;
    if label != "ENCRYPTED PRIVATE KEY" {
        return Err(LocalError::NotEncryptedPkcs8(path.to_owned(), label.escape_debug().to_string()));
    }
    AnyRef::from_der(&der).map_err(|_| LocalError::Truncated(path.to_owned()))?;
    let info =
        EncryptedPrivateKeyInfoRef::from_der(&der).map_err(|_| LocalError::Parameters(path.to_owned()))?;
    if !is_bearable(&info.encryption_algorithm) {
        return Err(LocalError::Parameters(path.to_owned()));
    }
    // CBC has no checksum: a wrong passphrase shows as bad padding or, one time in 256, as garbage.
    let pkcs8 = info.decrypt(passphrase.expose_secret()).ok();
    pkcs8.and_then(Opened::new).ok_or_else(|| LocalError::WrongPassphrase(path.to_owned()))
}

fn with_attribute(pkcs8: &[u8], carried: &[u8]) -> der::Result<Zeroizing<Vec<u8>>> {
    let mut info = KeyInfo::from_der(pkcs8)?;
    let value = Any::from(AnyRef::from(OctetStringRef::new(carried)?));
    let attribute = Attribute { oid: LOCAL_KEY_ID, values: SetOfVec::from_iter([value])? };
    info.attributes = Some(SetOfVec::from_iter([attribute])?);
    info.to_der().map(Zeroizing::new)
}

fn fresh_parameters(cost: Cost) -> Result<pbes2::Parameters, LocalError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    rand::fill(&mut salt)
        .and_then(|()| rand::fill(&mut iv))
        .map_err(|_| LocalError::Crypto("the random source"))?;
    scrypt::Params::new(cost.log_n, cost.r, cost.p)
        .ok()
        .and_then(|params| pbes2::Parameters::generate_scrypt_aes256cbc(params, &salt, iv).ok())
        .ok_or(LocalError::Crypto("choosing scrypt's parameters"))
}

/// Whether opening the file is no attack on this process: PBES2, scrypt below 1 GiB and 64 times our own work, PBKDF2
/// below 20 million rounds. A cost that is no power of two above 1 (RFC 7914, 2) is told here, for 0 is subtracted from
/// in the library.
pub(crate) fn is_bearable(scheme: &EncryptionScheme) -> bool {
    let EncryptionScheme::Pbes2(scheme) = scheme else { return false };
    match &scheme.kdf {
        pbes2::Kdf::Scrypt(kdf) => {
            let memory = kdf.cost_parameter.saturating_mul(128 * u64::from(kdf.block_size));
            kdf.cost_parameter > 1
                && kdf.cost_parameter.is_power_of_two()
                && memory <= 1 << 30
                && memory.saturating_mul(u64::from(kdf.parallelization)) <= 5 << 30
        }
        pbes2::Kdf::Pbkdf2(kdf) => kdf.iteration_count <= 20_000_000,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_would_exhaust_memory_are_refused() {
        let greedy = fresh_parameters(Cost { log_n: 24, r: 8, p: 1 }).unwrap();
        let encrypted_data = OctetStringRef::new(&[0; 64]).unwrap();
        let info = EncryptedPrivateKeyInfoRef { encryption_algorithm: greedy.into(), encrypted_data };
        let pem = info.to_pem(LineEnding::LF).unwrap();
        let error = unlock(pem.as_bytes(), &"some passphrase".into(), Path::new("k.pem")).err();
        assert!(matches!(error, Some(LocalError::Parameters(_))), "{error:?}");
    }

    #[test]
    fn a_cost_of_nothing_is_refused() {
        for cost_parameter in [0, 1, 3] {
            let mut parameters = fresh_parameters(Cost { log_n: 4, r: 8, p: 1 }).unwrap();
            if let pbes2::Kdf::Scrypt(kdf) = &mut parameters.kdf {
                kdf.cost_parameter = cost_parameter;
            }
            assert!(!is_bearable(&parameters.into()), "{cost_parameter}");
        }
    }
}
