//! Puts a signature around the very bytes that were signed (RFC 5280, 4.1 and 5.1).

use super::EncodingError;
use catalyst_signing::Verified;
use der::{
    Decode, Encode, Sequence,
    asn1::{AnyRef, BitStringRef},
};

/// Certificate and CertificateList have the same three fields.
#[derive(Sequence)]
struct Signed<'a> {
    tbs: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
}

/// The signed object, DER. The message is framed as it is, never decoded and encoded again.
pub(crate) fn frame(verified: &Verified) -> Result<Vec<u8>, EncodingError> {
    let signed = Signed {
        tbs: AnyRef::from_der(&verified.message)?,
        algorithm: AnyRef::from_der(verified.algorithm.identifier_der())?,
        signature: BitStringRef::from_bytes(&verified.signature)?,
    };
    Ok(signed.to_der()?)
}
