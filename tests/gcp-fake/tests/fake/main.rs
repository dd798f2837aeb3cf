//! The fake as a program: Google's client drives it, and what a test tells it happens.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod accounts;
mod behind;
mod faults;
mod program;
mod tampered;

use catalyst_rigs::gcp::google_client;
use std::path::Path;

#[test]
fn googles_own_client_finds_what_google_documents() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("google_client.py");
    let fake = program::start();
    let printed = google_client(&script, &fake).unwrap();
    assert!(printed.ends_with("bindings_are_kept\n"), "{printed}");
}
