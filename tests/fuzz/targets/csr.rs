//! Whatever is posted as a CSR, DER or PEM.
#![no_main]

use catalyst_pki::authority::x509::VerifiedCsr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(csr) = VerifiedCsr::from_der(data) {
        assert!(!csr.spki().is_empty());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = VerifiedCsr::from_pem(text);
    }
});
