//! The names in a server's certificate.
//!
//! webpki checks the chain, but tells no URI names, so this reads them. The rule of the house keeps x509-cert inside
//! `authority::x509`; the client must not depend on the authority, and one extension is not worth a third module.

use crate::identity::SpiffeId;
use der::Decode as _;
use x509_cert::{
    Certificate,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// Who a server's certificate says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A workload of a trust domain.
    Workload(SpiffeId),
    /// Only host names and addresses.
    Host,
}

/// Reads the holder of a certificate.
///
/// # Errors
/// A certificate that can't be read, or whose SPIFFE id is not the one URI that an SVID has (X509-SVID, 2).
pub(super) fn holder(der: &[u8]) -> Result<Holder, String> {
    let unread = |error: der::Error| format!("it cannot be read: {error}");
    let certificate = Certificate::from_der(der).map_err(unread)?;
    let san = certificate.tbs_certificate().get_extension::<SubjectAltName>().map_err(unread)?;
    let names = san.map(|(_, san)| san.0).unwrap_or_default();
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
        .collect();
    let spiffe = |uri: &&str| uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"));
    match uris.as_slice() {
        [uri] if spiffe(uri) => {
            uri.parse().map(Holder::Workload).map_err(|error| format!("it names '{uri}': {error}"))
        }
        uris if uris.iter().any(spiffe) => Err("it names a SPIFFE id and other URIs besides".into()),
        _ => Ok(Holder::Host),
    }
}
