//! Why a key that was made elsewhere is not taken.

use crate::{envelope, material::CAPABILITIES};
use der::asn1::ObjectIdentifier;

/// rsaEncryption (RFC 8017, A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey (RFC 5480, 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Why a key that was made elsewhere is not taken. Each is a clause that says what to do; none holds anything of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is encrypted, and no password was given.
    #[error("it is encrypted, and no password was given")]
    PasswordWanted,
    /// Another password, or a damaged file.
    #[error("it does not open with this password: give the right one; if it is right, the file is damaged")]
    WrongPassword,
    /// Neither of the formats, or cut off.
    #[error(
        "it is no private key in PKCS#8 (PEM or DER) or PKCS#12, or it is cut off: `openssl pkey -in FILE -out NEW` \
         makes PKCS#8 of most others"
    )]
    Unreadable,
    /// PKCS#1 or SEC 1.
    #[error(
        "it is a key in the older form of its algorithm, not PKCS#8: convert it with `openssl pkcs8 -topk8 -in FILE -out NEW`"
    )]
    Traditional,
    /// Encoded in BER.
    #[error(
        "it is encoded in BER, which this program does not read: write it anew with `openssl pkcs12 -legacy -in FILE -aes256 \
         -out KEYS.pem`, which asks for a new password, and import KEYS.pem"
    )]
    Ber,
    /// DES, RC2, 3DES, MD5, SHA-1: PBES1 and the schemes of PKCS#12 itself.
    #[error(
        "it is protected with DES, RC2, 3DES, MD5 or SHA-1, which are broken or close to it: convert it with `openssl pkcs12 -legacy \
         -in FILE -aes256 -out KEYS.pem` (PKCS#12) or `openssl pkcs8 -topk8 -v2 aes-256-cbc -provider legacy -provider default -in \
         FILE -out KEYS.pem` (PKCS#8), which ask for a new password, and import KEYS.pem"
    )]
    Outdated,
    /// PBES2 or PBMAC1 with parameters that are unknown or cost too much.
    #[error(
        "it is encrypted with parameters that this program does not take: convert it with `openssl pkey -aes256 -in FILE \
         -out NEW`"
    )]
    Parameters,
    /// A PKCS#12 file whose integrity rests on a signature, or whose bags are nested.
    #[error(
        "it is PKCS#12 of a kind that this program does not read: write it anew with `openssl pkcs12 -in FILE -aes256 \
         -out KEYS.pem`, and import KEYS.pem"
    )]
    UnknownForm,
    /// Certificates at most.
    #[error("there is no private key in it: name the file that has one")]
    NoKey,
    /// Which of them is meant, nobody knows.
    #[error("there are {0} private keys in it: give the one that is wanted a file of its own")]
    SeveralKeys(usize),
    /// A key of another algorithm or size.
    #[error("its key is {0}, which this program does not sign with: it takes {taken}", taken = taken())]
    Algorithm(&'static str),
    /// The private half and the public half are not of one key.
    #[error("its public half does not belong to its private half: get the key again from where it was made")]
    Mismatch,
}

impl ImportError {
    /// What to say of a key that no algorithm takes.
    pub(super) fn of_unknown(pkcs8: &[u8]) -> Self {
        match envelope::algorithm(pkcs8) {
            Some(RSA) => Self::Algorithm("an RSA key of another size than 3072 bits, or damaged"),
            Some(EC) => Self::Algorithm("a key on another curve than P-384 and P-256, or damaged"),
            Some(_) => Self::Algorithm("of another kind, or damaged"),
            None => Self::Unreadable,
        }
    }
}

fn taken() -> String {
    let names: Vec<_> = CAPABILITIES.iter().map(|known| known.algorithm.name()).collect();
    names.join(", ")
}
