//! Key URIs: kept as typed, and a local one is a plain file name.
#![no_main]

use catalyst_signing::{KeyUri, SignatureAlgorithm};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = text.parse::<SignatureAlgorithm>();
    match KeyUri::parse(text) {
        Ok(uri) => {
            assert_eq!(uri.as_str(), text);
            assert_eq!(format!("{}:{}", uri.scheme(), uri.rest()), text);
            assert!(uri.scheme() != "local" || !uri.rest().contains(['/', '.', '\\']));
        }
        Err(error) => assert!(!text.contains("pin-value=") || !error.to_string().contains("pin-value=")),
    }
});
