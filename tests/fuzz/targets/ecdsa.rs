//! ECDSA values between DER and r‖s: one form each, whatever a key store sends.
#![no_main]

use catalyst_signing::ecdsa::{Curve, der_from_fixed, fixed_from_der};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for curve in [Curve::P256, Curve::P384] {
        if let Ok(fixed) = fixed_from_der(curve, data) {
            assert_eq!(fixed.len(), 2 * curve.width());
            assert_eq!(der_from_fixed(curve, &fixed).unwrap(), data);
        }
        if let Ok(der) = der_from_fixed(curve, data) {
            assert_eq!(fixed_from_der(curve, &der).unwrap(), data);
        }
    }
});
