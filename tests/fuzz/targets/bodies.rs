//! JSON bodies of every request.
#![no_main]

use catalyst_pki::api;
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

/// What is taken is taken again in the form in which it is written.
fn read<T: DeserializeOwned + Serialize>(body: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(body) {
        let written = serde_json::to_vec(&value).unwrap();
        assert!(serde_json::from_slice::<T>(&written).is_ok());
    }
}

fuzz_target!(|body: &[u8]| {
    read::<api::SignCsrRequest>(body);
    read::<api::KeypairRequest>(body);
    read::<api::InitializeRequest>(body);
    read::<api::IntermediaryRequest>(body);
    read::<api::ActivateRequest>(body);
    read::<api::RevokeRequest>(body);
    read::<api::DenyRequest>(body);
    read::<api::AllowRequest>(body);
    read::<api::ReleaseRequest>(body);
    read::<api::MintRequest>(body);
    read::<api::RevokeTokensRequest>(body);
    read::<api::VerifyTokenRequest>(body);
    read::<api::AuthorizeRequest>(body);
    read::<api::RotateKeyRequest>(body);
});
