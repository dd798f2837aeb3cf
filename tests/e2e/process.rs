//! The service as a process: what it says while it starts, works and ends.

use crate::pki::{Pki, refused, spiffe_id};
use catalyst_rigs::{Launch, logs::Golden};
use serde_json::{Value, json};
use std::path::Path;

const BINDING_MISMATCH: &str = "Certificate binding mismatch — cnf.x5t#S256 does not match TLS certificate";

fn golden() -> Golden {
    Golden::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/log-lines.json"))).unwrap()
}

#[test]
fn a_dev_service_says_what_operators_look_for_and_ends_when_asked() {
    let mut service = Launch::dev().unwrap().start().unwrap();
    service.wait_for("System Admin Token").unwrap();
    assert_eq!(service.http().get("/health").unwrap().status, 200);
    assert_eq!(service.stop().unwrap().code(), Some(0), "{}", service.log());

    let (golden, lines) = (golden(), service.log_lines());
    assert_eq!(golden.differences(&lines), Vec::<String>::new());
    let unseen = golden.unseen(&lines);
    for message in [
        "Root CA generated",
        "Services CA generated",
        "Transport CA generated",
        "PKI initialized",
        "Listening",
    ] {
        assert!(!unseen.contains(&message), "{message} is missing in\n{}", service.log());
    }
}

#[test]
fn refusals_are_logged_under_the_names_that_operators_look_for() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let bound = json!({"certificateFingerprint": issued.answer["fingerprint"]});
    let bound = pki.service.http().with_token(&pki.mint("n1", "ADMIN", &bound));
    refused(&bound.get("/pki/status").unwrap(), 401, "credential_invalid");
    let user = pki.as_("USER", &json!({}));
    refused(&user.get("/pki/status").unwrap(), 403, "permission_denied");
    let body = json!({"spiffeId": spiffe_id("node", "n1"), "reason": "test"});
    refused(&user.post("/pki/identities/deny", &body).unwrap(), 403, "permission_denied");

    let bound = pki.logged(BINDING_MISMATCH, "n1");
    let status = pki.logged("Permission denied for action: CA_READ", "");
    let deny = pki.logged("Permission denied for action: IDENTITY_DENY", "n1");
    assert_eq!(status.property("expected_principal"), Some("CATALYST::ADMIN"));
    assert_eq!(deny.property("expected_principal"), Some(spiffe_id("node", "n1").as_str()));
    let lines = [bound, status, deny];
    assert_eq!(golden().differences(&lines), Vec::<String>::new());
    assert_eq!(lines.each_ref().map(|line| line.property("subject")), [Some("n1"), None, None]);
    for message in ["Permission denied for action: *", BINDING_MISMATCH] {
        assert!(!golden().unseen(&lines).contains(&message), "{message}");
    }
}

#[test]
fn every_json_line_is_one_object_of_the_documented_members() {
    let mut service = Launch::dev().unwrap().start().unwrap();
    service.wait_for("System Admin Token").unwrap();
    service.stop().unwrap();
    for line in service.log().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(value["timestamp"].is_u64(), "{line}");
        let documented = ["timestamp", "level", "category", "message", "properties", "trace_id", "span_id"];
        assert!(members.len() >= 5 && members.iter().all(|member| documented.contains(member)), "{line}");
    }
}

#[test]
fn the_system_token_is_the_last_word_of_its_pretty_line() {
    let mut service = Launch::dev().unwrap().env("CATALYST_PKI_LOG_FORMAT", "pretty").start().unwrap();
    let line = service.wait_for("System Admin Token").unwrap();
    let token = line.raw.split_whitespace().last().unwrap();
    assert_eq!(token.split('.').count(), 3, "{}", line.raw);
}

#[test]
fn metrics_are_there_from_the_start() {
    let mut service = Launch::dev().unwrap().start().unwrap();
    service.wait_for("System Admin Token").unwrap();
    let metrics = service.http().get("/metrics").unwrap();
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    // Counters only: gauges appear once the CA has counted, which may be a moment later.
    for name in ["purged_cert_count 0", "signing_throttled_total 0"] {
        assert!(metrics.text().contains(&format!("catalyst_pki_{name}")), "{}", metrics.text());
    }
}

#[test]
fn the_log_lines_of_a_traced_request_name_the_trace() {
    let mut service = Launch::dev().unwrap().start().unwrap();
    let token = service.wait_for("System Admin Token").unwrap();
    let token =
        token.raw.rsplit("System Admin Token: ").next().unwrap().split('"').next().unwrap().to_owned();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let client = service
        .http()
        .with_token(&token)
        .with_header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = client
        .post("/pki/keypair", &serde_json::json!({ "serviceType": "node", "instanceId": "traced" }))
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let line: Value = serde_json::from_str(&service.wait_for("Certificate issued").unwrap().raw).unwrap();
    assert_eq!(line["trace_id"], trace, "{line}");
    assert_eq!(line["span_id"].as_str().unwrap().len(), 16, "{line}");
}
