//! What the client makes of certificates that a service answers.

use super::{super::bundle_pem, *};

#[test]
fn of_a_bundle_only_the_certificates_are_taken() {
    let (first, second) = (TestCa::new(), TestCa::new());
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let text = format!("\u{1b}]0;title\u{7}\n{}# note\n{key}{}", first.pem, second.pem);
    let bundle = bundle_pem(text.as_bytes()).unwrap();
    assert_eq!(bundle, format!("{}{}", first.pem, second.pem).replace("\r\n", "\n"));
    let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for wrong in ["", "<html>", not_der, &key, &format!("{}{not_der}", first.pem)] {
        assert!(bundle_pem(wrong.as_bytes()).unwrap_err().message.contains("no bundle"), "{wrong}");
    }
}

#[test]
fn of_two_requests_in_a_file_none_is_taken() {
    let pem = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    };
    let (one, other) = (pem("a"), pem("b"));
    CertificationRequest::read(one.as_bytes()).unwrap();
    let error = CertificationRequest::read(format!("{one}{other}").as_bytes()).unwrap_err();
    assert!(error.contains("more than one certification request"), "{error}");
}

#[test]
fn a_signature_is_the_cas_or_it_is_not() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let (ca, other) = (TestCa::with(algorithm), TestCa::with(algorithm));
        let read = |pem: &str| Certificate::from_pem(pem).unwrap();
        let der = &ca.server(&[SERVICE]).chain[0];
        let leaf = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap();
        assert!(read(&leaf).is_signed_by(&read(&ca.pem)));
        assert!(!read(&leaf).is_signed_by(&read(&other.pem)));
        assert!(!read(&leaf).is_signed_by(&read(&leaf)));
    }
}

#[test]
fn a_name_that_steers_a_terminal_does_not_come_through() {
    let hostile = TestCa::new().server(&["spiffe://td/\u{1b}[31m\nhint: run this"]);
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &hostile.chain[0]).unwrap();
    let error = Certificate::from_pem(&pem).unwrap_err();
    assert!(error.message.contains("it names 'spiffe://td/\u{fffd}[31m\u{fffd}hint"), "{error}");
    assert!(!error.message.contains(steers), "{error}");
}
