//! The table of errors, each as it comes over the wire.

use super::Asked;
use crate::tests::{
    open,
    wire::{Reply, Server},
};
use catalyst_signing::{Refusal, SignError, TransientKind};
use google_cloud_gax::error::{
    Error,
    rpc::{Code, Status},
};
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/ca";

/// Codes of google.rpc.Code with their HTTP status (google/rpc/code.proto).
fn http_status(code: &str) -> u16 {
    match code {
        "CANCELLED" => 499,
        "UNKNOWN" | "INTERNAL" | "DATA_LOSS" => 500,
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "DEADLINE_EXCEEDED" => 504,
        "NOT_FOUND" => 404,
        "ALREADY_EXISTS" | "ABORTED" => 409,
        "PERMISSION_DENIED" => 403,
        "UNAUTHENTICATED" => 401,
        "RESOURCE_EXHAUSTED" => 429,
        "UNIMPLEMENTED" => 501,
        "UNAVAILABLE" => 503,
        other => panic!("{other}"),
    }
}

/// An error of Google's (google.rpc.Status, AIP-193).
fn refusal(code: &str, message: &str, details: Value) -> Reply {
    let status = http_status(code);
    let body = json!({ "error": { "code": status, "message": message, "status": code, "details": details } });
    Reply::json(status, &body)
}

fn info(reason: &str, metadata: Value) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    })
}

fn retry_info(delay: &str) -> Value {
    json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }])
}

async fn signing(reply: Reply) -> SignError {
    let server = Server::always(reply).await;
    let key = open(&server.endpoint(), Duration::from_secs(10)).await;
    let error = key.sign(b"message").await.unwrap_err();
    assert_eq!(server.take().len(), 1, "one attempt is one call");
    error
}

#[tokio::test]
async fn what_passes() {
    use TransientKind::{Throttled, TimedOut, Unavailable};
    for (code, message, kind) in [
        ("UNAVAILABLE", "The service is currently unavailable.", Unavailable),
        ("DEADLINE_EXCEEDED", "Deadline expired.", TimedOut),
        ("RESOURCE_EXHAUSTED", "Quota exceeded.", Throttled),
        ("INTERNAL", "Internal error encountered.", Unavailable),
        ("UNKNOWN", "", Unavailable),
        ("ABORTED", "", Unavailable),
        ("CANCELLED", "", Unavailable),
        ("DATA_LOSS", "", Unavailable),
        ("UNAUTHENTICATED", "Request had invalid authentication credentials.", Unavailable),
        ("FAILED_PRECONDITION", "… is not enabled, current state is: PENDING_GENERATION.", Unavailable),
    ] {
        let error = signing(refusal(code, message, json!([]))).await;
        assert!(matches!(&error, SignError::Transient { kind: is, .. } if *is == kind), "{code}: {error}");
        let text = error.to_string();
        for word in ["AsymmetricSign of projects/p/", code, message.trim_end_matches('.')] {
            assert!(text.contains(word), "{text} has no {word}");
        }
    }
}

#[tokio::test]
async fn what_stays_and_what_to_do() {
    use Refusal::{Ambiguous, Configuration, Denied, Disabled, Missing, Unsupported};
    for (code, message, kind, advice) in [
        (
            "PERMISSION_DENIED",
            "Permission denied.",
            Denied,
            "grant cloudkms.cryptoKeyVersions.useToSign on it",
        ),
        ("NOT_FOUND", "CryptoKeyVersion … not found.", Missing, "project"),
        ("ALREADY_EXISTS", "", Ambiguous, "ALREADY_EXISTS"),
        (
            "FAILED_PRECONDITION",
            "current state is: DISABLED.",
            Disabled,
            "gcloud kms keys versions enable projects/",
        ),
        (
            "FAILED_PRECONDITION",
            "current state is: DESTROY_SCHEDULED.",
            Disabled,
            "gcloud kms keys versions restore projects/",
        ),
        ("FAILED_PRECONDITION", "current state is: DESTROYED.", Disabled, "gone for good"),
        ("INVALID_ARGUMENT", "The algorithm is not supported.", Unsupported, "another algorithm"),
        ("INVALID_ARGUMENT", "", Configuration, "correct"),
        ("OUT_OF_RANGE", "", Unsupported, "choose another"),
        ("UNIMPLEMENTED", "", Unsupported, "choose another"),
    ] {
        let error = signing(refusal(code, message, json!([]))).await;
        assert!(matches!(&error, SignError::Refused { kind: is, .. } if *is == kind), "{code}: {error}");
        let text = error.to_string();
        for word in ["AsymmetricSign of projects/p/", code, message.trim_end_matches('.'), advice] {
            assert!(text.contains(word), "{text} has no {word}");
        }
    }
}

/// What is made in a key ring cannot be disabled: the organization's policies stand against it.
#[test]
fn a_key_that_may_not_be_made_is_no_disabled_version() {
    let ring = KEY.split("/cryptoKeys").next().unwrap();
    for (about, wanted, advice) in [
        (ring, Refusal::Configuration, "constraints/cloudkms.allowedProtectionLevels"),
        (KEY, Refusal::Configuration, "constraints/cloudkms.allowedProtectionLevels"),
        (&format!("{KEY}/cryptoKeyVersions/1"), Refusal::Disabled, "gcloud kms keys versions enable"),
    ] {
        let asked = Asked { operation: "CreateCryptoKey", permission: "cryptoKeys.create", about };
        let status = Status::default().set_code(Code::FailedPrecondition).set_message("Not allowed.");
        let SignError::Refused { kind, reason } = asked.trouble("KMS", &Error::service(status)).error else {
            panic!("{about} is not refused")
        };
        assert_eq!(kind, wanted, "{reason}");
        assert!(reason.contains(advice), "{reason}");
        assert_eq!(reason.contains("versions enable"), wanted == Refusal::Disabled, "{reason}");
    }
}

#[tokio::test]
async fn googles_reason_says_what_to_do() {
    use Refusal::{Configuration, Denied};
    for (code, reason, metadata, kind, advice) in [
        (
            "PERMISSION_DENIED",
            "IAM_PERMISSION_DENIED",
            json!({ "permission": "cloudkms.cryptoKeyVersions.useToSign", "resource": KEY }),
            Denied,
            format!("grant cloudkms.cryptoKeyVersions.useToSign on {KEY} to who asks"),
        ),
        ("PERMISSION_DENIED", "SERVICE_DISABLED", json!({}), Configuration, "gcloud services enable".into()),
        ("PERMISSION_DENIED", "BILLING_DISABLED", json!({}), Configuration, "billing account".into()),
        (
            "PERMISSION_DENIED",
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            json!({}),
            Denied,
            "https://www.googleapis.com/auth/cloud-platform".into(),
        ),
        ("PERMISSION_DENIED", "SECURITY_POLICY_VIOLATED", json!({}), Denied, "VPC Service Controls".into()),
        ("UNAUTHENTICATED", "CREDENTIALS_MISSING", json!({}), Denied, "no credentials in the request".into()),
    ] {
        let error = signing(refusal(code, "Refused.", json!([info(reason, metadata)]))).await;
        assert!(matches!(&error, SignError::Refused { kind: is, .. } if *is == kind), "{reason}: {error}");
        assert!(error.to_string().contains(&advice), "{reason}: {error}");
    }
    for reason in ["ACCESS_TOKEN_EXPIRED", "ACCOUNT_STATE_INVALID"] {
        let error = signing(refusal("UNAUTHENTICATED", "No.", json!([info(reason, json!({}))]))).await;
        assert!(error.is_transient() && error.to_string().contains("read anew"), "{reason}: {error}");
    }
}

#[tokio::test]
async fn a_wait_that_google_names_is_handed_on_and_believed_up_to_a_minute() {
    for (delay, wait) in [
        ("7s", Some(Duration::from_secs(7))),
        ("0.250s", Some(Duration::from_millis(250))),
        ("86400s", Some(Duration::from_secs(60))),
        ("-5s", None),
    ] {
        for code in ["RESOURCE_EXHAUSTED", "UNAVAILABLE"] {
            let error = signing(refusal(code, "", retry_info(delay))).await;
            assert!(error.is_transient(), "{error}");
            assert_eq!(error.retry_after(), wait, "{delay}");
        }
    }
}

/// Details that nobody knows, or that are not what they should be, hide no error.
#[tokio::test]
async fn details_that_are_none_do_no_harm() {
    for details in [
        json!([{ "@type": "type.googleapis.com/google.rpc.Unheard", "x": 1 }]),
        json!([info("", json!({ "permission": "cloudkms.x" }))]),
        json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo" }]),
        json!([]),
    ] {
        let error = signing(refusal("PERMISSION_DENIED", "No.", details)).await;
        assert!(matches!(error, SignError::Refused { kind: Refusal::Denied, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_checksum_that_google_did_not_find_right_is_an_integrity_error() {
    for message in [
        "The checksum in field digest_crc32c did not match the data in field digest.",
        "The checksum in field data_crc32c did not match the data in field data.",
    ] {
        let error = signing(refusal("INVALID_ARGUMENT", message, json!([]))).await;
        assert!(matches!(error, SignError::Integrity { .. }), "{error}");
    }
}

#[tokio::test]
async fn googles_words_are_one_short_line() {
    let long = format!("first\u{7} line{}\nsecond line", "x".repeat(2000));
    let text = signing(refusal("INTERNAL", &long, json!([]))).await.to_string();
    assert!(text.contains("first line"), "{text}");
    assert!(!text.contains("second") && !text.contains('\u{7}') && text.len() < 1000, "{text}");
}

#[tokio::test]
async fn a_token_that_is_thrown_back_is_not_repeated() {
    for said in [
        "refused: Authorization: Bearer TheToken",
        "refused: ya29.TheToken",
        "refused: eyJhbGciOiJSUzI1NiJ9.TheToken",
    ] {
        let text = signing(refusal("UNAUTHENTICATED", said, json!([]))).await.to_string();
        assert!(text.contains("refused") && !text.contains("TheToken"), "{text}");
    }
}
