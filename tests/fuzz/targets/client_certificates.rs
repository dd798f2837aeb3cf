//! What the command line reads as a certificate, a bundle or a CSR: answers of a service, and files.
#![no_main]

use catalyst_pki::client::{Certificate, CertificationRequest, bundle_pem};
use libfuzzer_sys::fuzz_target;

/// What is written reads as what was read.
fn certificate(text: &str) {
    let Ok(read) = Certificate::from_pem(text) else { return };
    let again = Certificate::from_pem(&read.pem().unwrap()).unwrap();
    assert_eq!(read, again);
    assert!(!read.pem().unwrap().contains('\u{1b}'));
    let _ = read.is_signed_by(&again);
}

fn bundle(bytes: &[u8]) {
    if let Ok(written) = bundle_pem(bytes) {
        assert_eq!(bundle_pem(written.as_bytes()).unwrap(), written);
    }
}

fn request(bytes: &[u8]) {
    if let Ok(read) = CertificationRequest::read(bytes) {
        assert!(!read.spki().is_empty());
        assert_eq!(CertificationRequest::read(read.pem().unwrap().as_bytes()).unwrap(), read);
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        certificate(text);
    }
    // The same octets as DER, which mutation alone seldom wraps in PEM.
    if let Ok(text) = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, data) {
        certificate(&text);
        bundle(text.as_bytes());
    }
    bundle(data);
    request(data);
});
