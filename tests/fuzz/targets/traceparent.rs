//! The `traceparent` header.
#![no_main]

use catalyst_pki::telemetry::TraceContext;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    if let Some(context) = TraceContext::from_traceparent(header) {
        assert!(header.len() >= 55);
        let _ = context.child();
    }
});
