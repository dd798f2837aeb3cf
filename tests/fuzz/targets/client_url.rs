//! The service's URL, as an operator or a variable gives it, and texts from elsewhere that reach a terminal.
#![no_main]

use catalyst_pki::client::{ServiceUrl, printable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    assert!(!printable(text).chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)));
    match text.parse::<ServiceUrl>() {
        Ok(url) => {
            let shown = url.to_string();
            let again: ServiceUrl = shown.parse().unwrap_or_else(|_| panic!("{text:?} became {shown:?}"));
            assert_eq!((again.host(), again.port(), again.is_tls()), (url.host(), url.port(), url.is_tls()));
            assert!(!shown.contains('@') && !shown.chars().any(|c| c.is_control() || c.is_whitespace()));
            assert!(
                !url.is_loopback()
                    || ["localhost", "::1"].contains(&url.host())
                    || !url.host().contains(char::is_alphabetic)
            );
        }
        // A password stands before an '@'.
        Err(error) => assert!(!text.contains('@') || !error.message.contains(text)),
    }
});
