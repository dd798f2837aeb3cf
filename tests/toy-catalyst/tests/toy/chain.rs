//! What rustls thinks of a certificate.

use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The leaf is good for servers and clients under the root of a bundle, by way of its other CAs.
#[track_caller]
pub(crate) fn verifies(bundle: &str, leaf: &str) {
    let cas: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap).collect();
    let anchors = [anchor_from_trusted_cert(&cas[0]).unwrap()];
    let leaf = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        let now = UnixTime::now();
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &cas[1..], now, usage, None, None).unwrap();
    }
}
