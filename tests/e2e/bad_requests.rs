//! Requests that are wrong before anybody looks at a CSR. Each gets its answer, and the service goes on.

use crate::{
    csr::{self, Openssl},
    pki::{Pki, ok, refused, spiffe_id},
};
use catalyst_rigs::http::{Client, Connection, Response};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::io::Write as _;

/// The body of a good request for `node/n1`.
fn good() -> Value {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = csr::of(&key, &[&spiffe_id("node", "n1")], &[]);
    json!({"csrPem": csr, "serviceType": "node", "instanceId": "n1"})
}

fn post(pki: &Pki, body: &[u8]) -> Response {
    pki.admin.request("POST", "/pki/csr/sign", &[], body).unwrap()
}

#[test]
fn a_body_that_is_not_the_json_object_of_the_shape_is_malformed() {
    let pki = Pki::dev();
    let good = good();
    let text = good.to_string();
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string().into_bytes()
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string().into_bytes()
    };
    let nested = |inner: &str, depth: usize| format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth));
    let bodies: Vec<Vec<u8>> = vec![
        b"".into(),
        b" \r\n".into(),
        b"certificate, please".into(),
        b"null".into(),
        b"true".into(),
        b"1".into(),
        b"\"text\"".into(),
        b"[]".into(),
        b"{}".into(),
        b"{".into(),
        text.as_bytes()[..text.len() - 1].into(),
        format!("{text}{text}").into(),
        format!("{text},").into(),
        format!("\u{feff}{text}").into(),
        text.replace('"', "'").into(),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        text.replace("n1", "n\u{0}1").replace("\\u0000", "\0").into(),
        [text.as_bytes(), b"\0"].concat(),
        text.replace("\"node\"", "\"no\u{7f}de\"")
            .into_bytes()
            .iter()
            .map(|&b| if b == 0x7f { 0xff } else { b })
            .collect(),
        // The fields in their order, without their names.
        json!([good["csrPem"], "node", "n1", null]).to_string().into(),
        text.replacen('{', "{\"instanceId\":\"n2\",", 1).into(),
        text.replacen('{', "{\"ttlSeconds\":1,\"ttlSeconds\":2,", 1).into(),
        nested("", 20_000).into(),
        with("csrPem", serde_json::from_str(&nested("", 100)).unwrap()),
        with("csrPem", json!(1)),
        with("csrPem", json!(null)),
        with("serviceType", json!(["node"])),
        with("instanceId", json!({"id": "n1"})),
        with("csr_pem", json!("")),
        with("isCa", json!(true)),
        with("ttlseconds", json!(60)),
        without("csrPem"),
        without("serviceType"),
        without("instanceId"),
    ];
    for body in bodies {
        refused(&post(&pki, &body), 400, "malformed_request");
    }
    let log = pki.service.log();
    assert!(!log.contains("no policy was asked"), "what could not be read is told as a defect: {log}");
    assert_eq!(pki.recorded(), 0);
    ok(&post(&pki, text.as_bytes()));
    pki.still_works();
}

#[test]
fn every_body_is_held_to_its_shape() {
    let pki = Pki::dev();
    for path in [
        "/pki/keypair",
        "/pki/initialize",
        "/pki/intermediary",
        "/pki/ca/0000000000000000000000000000000000000000/activate",
        "/pki/ca/0000000000000000000000000000000000000000/revoke",
        "/pki/certificates/00000000000000000000000000000000/revoke",
        "/pki/identities/deny",
        "/pki/identities/allow",
        "/pki/identities/release",
    ] {
        for body in ["[]", "{\"unknown\":1}", "not json"] {
            let answer = pki.admin.request("POST", path, &[], body.as_bytes()).unwrap();
            refused(&answer, 400, "malformed_request");
        }
    }
    pki.still_works();
}

#[test]
fn a_lifetime_is_a_whole_number_of_seconds_up_to_a_day() {
    let pki = Pki::dev();
    let text = good().to_string();
    let ask = |ttl: &str| post(&pki, text.replacen('{', &format!("{{\"ttlSeconds\":{ttl},"), 1).as_bytes());
    for ttl in ["-1", "0", "86401", "9223372036854775807", "-9223372036854775808"] {
        let sentence = refused(&ask(ttl), 422, "ttl_not_allowed");
        assert!(sentence.contains("86400"), "the limit is not named: {sentence}");
    }
    for ttl in
        ["9223372036854775808", "1e30", "1.5", "\"3600\"", "\"1h\"", "true", "[60]", "NaN", "0x10", "060"]
    {
        refused(&ask(ttl), 400, "malformed_request");
    }
    assert_eq!(pki.recorded(), 0);
    ok(&ask("86400"));
    ok(&ask("null"));
}

#[test]
fn a_body_of_more_than_64_kib_is_too_large() {
    let pki = Pki::dev();
    let mut huge = good();
    huge["csrPem"] = format!("-----BEGIN CERTIFICATE REQUEST-----\n{}", "A".repeat(1024 * 1024)).into();
    refused(&post(&pki, huge.to_string().as_bytes()), 413, "body_too_large");
    refused(&post(&pki, &vec![b' '; 64 * 1024 + 1]), 413, "body_too_large");
    let padded = |length: usize| {
        let body = good().to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    ok(&post(&pki, padded(64 * 1024).as_bytes()));
    // Nobody announces how long this one gets.
    let chunked = |chunks: usize| {
        let mut connection = Connection::open(pki.service.address()).unwrap();
        let head = format!(
            "POST /pki/csr/sign HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
            pki.token
        );
        let body = padded(chunks * 4096);
        let mut message = head.into_bytes();
        for chunk in body.as_bytes().chunks(4096) {
            message.extend(
                format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"),
            );
        }
        message.extend(b"0\r\n\r\n");
        // The service may answer and close before it has taken all of it.
        let _ = connection.socket().write_all(&message);
        connection.answer().unwrap()
    };
    ok(&chunked(16));
    refused(&chunked(17), 413, "body_too_large");
    pki.still_works();
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_and_records_nothing() {
    let pki = Pki::dev();
    let open = |method_and_path: &str, length: usize, sent: &str| {
        let mut connection = Connection::open(pki.service.address()).unwrap();
        let head = format!(
            "{method_and_path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n{sent}",
            pki.token
        );
        connection.socket().write_all(head.as_bytes()).unwrap();
        connection
    };
    let body = good().to_string();
    let mut slow = open("POST /pki/csr/sign", body.len(), &body[..body.len() - 1]);
    // This one hangs up in the middle.
    drop(open("POST /pki/csr/sign", body.len(), &body[..body.len() - 1]));
    pki.still_works();
    let answer = slow.answer().unwrap();
    refused(&answer, 408, "body_too_slow");
    assert_eq!(pki.recorded(), 1);
}

#[test]
fn what_is_not_there_is_404_and_a_wrong_method_405() {
    let pki = Pki::dev();
    let nobody = pki.service.http();
    for path in [
        "/",
        "/pki",
        "/pki/",
        "/pki/csr/sign/",
        "//pki/status",
        "/PKI/status",
        "/rpc/",
        "/health/",
        "/pki/../health",
    ] {
        let sentence = refused(&nobody.get(path).unwrap(), 404, "not_found");
        assert!(sentence.contains("/openapi.json"), "{sentence}");
    }
    for (method, path, allowed) in [
        ("POST", "/health", "GET,HEAD"),
        ("DELETE", "/pki/ca/bundle", "GET,HEAD"),
        ("PUT", "/metrics", "GET,HEAD"),
        ("GET", "/pki/csr/sign", "POST"),
        ("GET", "/pki/initialize", "POST"),
        ("DELETE", "/pki/status", "GET,HEAD"),
        ("PATCH", "/pki/identities/deny", "POST"),
        ("BREW", "/pki/csr/sign", "POST"),
    ] {
        let answer = pki.admin.request(method, path, &[], b"").unwrap();
        refused(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    let head = pki.admin.request("HEAD", "/pki/ca/bundle", &[], b"").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    // Behind authentication it is decided as GET is.
    for (client, status) in [(&pki.admin, 200), (&nobody, 401)] {
        assert_eq!(client.request("HEAD", "/pki/status", &[], b"").unwrap().status, status);
    }
}

#[test]
fn parameters_and_names_in_paths_are_checked() {
    let pki = Pki::dev();
    for query in [
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=x",
        "limit=",
        "cursor=x",
        "status=lost",
        "status=Active",
        "spiffeId=node",
        "spiffe_id=x",
        "unknown=1",
        "limit=1&limit=2",
        "spiffeId=%ff",
    ] {
        refused(&pki.get(&format!("/pki/certificates?{query}")), 400, "malformed_request");
    }
    for query in
        ["anchors=all", "anchors=", "role=root", "role=Services", "unknown=1", "anchors=issuing", "role=%ff"]
    {
        refused(&pki.get(&format!("/pki/ca/bundle?{query}")), 400, "malformed_request");
    }
    let nobody = "00000000000000000000000000000000";
    for path in [
        "/pki/crl/nobody",
        "/pki/crl/Root",
        "/pki/crl/..%2froot",
        "/pki/crl/%00",
        "/pki/crl/0000000000000000000000000000000000000000",
    ] {
        refused(&pki.get(path), 404, "not_found");
    }
    for path in [nobody, "zz", "..%2f..", "%27%20OR%201=1", "-1"] {
        refused(&pki.get(&format!("/pki/certificates/{path}")), 404, "not_found");
        refused(&pki.post(&format!("/pki/certificates/{path}/revoke"), &json!({})), 404, "not_found");
        refused(&pki.post(&format!("/pki/ca/{path}/activate"), &json!({})), 404, "not_found");
        refused(&pki.post(&format!("/pki/ca/{path}/retire"), &json!({})), 404, "not_found");
        refused(&pki.post(&format!("/pki/ca/{path}/revoke"), &json!({})), 404, "not_found");
    }
    for path in ["/pki/crl/%ff", "/pki/certificates/%ff"] {
        refused(&pki.get(path), 400, "malformed_request");
    }
    pki.still_works();
}

#[test]
fn denials_and_revocations_are_checked() {
    let pki = Pki::dev();
    let deny = |spiffe_id: &str, reason: &str| {
        pki.post("/pki/identities/deny", &json!({"spiffeId": spiffe_id, "reason": reason}))
    };
    let id = spiffe_id("node", "n1");
    for (spiffe_id, status, code) in [
        ("n1", 422, "identity_not_allowed"),
        ("spiffe://other.example.com/node/n1", 422, "identity_not_allowed"),
        (&format!("{id}/"), 422, "identity_not_allowed"),
        (&format!("{id}%2e"), 422, "identity_not_allowed"),
        (&spiffe_id("node", "N1"), 422, "identity_not_allowed"),
        (&spiffe_id("nodes", "n1"), 422, "identity_not_allowed"),
    ] {
        refused(&deny(spiffe_id, "x"), status, code);
        refused(&pki.post("/pki/identities/allow", &json!({"spiffeId": spiffe_id})), status, code);
    }
    for reason in ["", "  \n", &"x".repeat(501), "a\u{9b}31mb", "two\nlines"] {
        refused(&deny(&id, reason), 400, "malformed_request");
    }
    refused(&pki.post("/pki/identities/allow", &json!({"spiffeId": id})), 404, "not_found");
    assert_eq!(ok(&pki.get("/pki/identities/denied")), json!([]));
    let issued = pki.issue("node", "n1");
    let revoke = |reason: &str| {
        pki.post(&format!("/pki/certificates/{}/revoke", issued.serial()), &json!({"reason": reason}))
    };
    for reason in ["", "certificateHold", "KeyCompromise", "stolen"] {
        refused(&revoke(reason), 422, "reason_unknown");
    }
    assert_eq!(pki.status_of(issued.serial()), "active");
    let services = ok(&pki.get("/pki/certificates"))["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["type"] == "services-ca")
        .unwrap()["serial"]
        .clone();
    let answer = pki.post(&format!("/pki/certificates/{}/revoke", services.as_str().unwrap()), &json!({}));
    refused(&answer, 409, "conflict");
}

#[test]
fn a_certificate_that_somebody_forwards_is_never_taken() {
    let pki = Pki::dev();
    let forwarded = |client: Client, value: &str| client.with_header("x-forwarded-client-cert", value);
    for value in ["", "Hash=00", "URI=spiffe://catalyst.example.com/auth/auth-1"] {
        for path in ["/pki/status", "/health", "/pki/ca/bundle", "/nowhere"] {
            let answer = forwarded(pki.admin.clone(), value).get(path).unwrap();
            refused(&answer, 400, "forwarded_certificate_refused");
        }
        let answer = forwarded(pki.service.http(), value).post("/pki/csr/sign", &good()).unwrap();
        refused(&answer, 400, "forwarded_certificate_refused");
    }
    let upper = pki.admin.clone().with_header("X-Forwarded-CLIENT-Cert", "By=x").get("/pki/status").unwrap();
    refused(&upper, 400, "forwarded_certificate_refused");
    assert_eq!(pki.recorded(), 0);
}

#[test]
fn what_is_no_http_ends_its_connection_and_nothing_else() {
    let pki = Pki::dev();
    let body = good().to_string();
    let token = &pki.token;
    let head = format!("POST /pki/csr/sign HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    let lengths = format!("{head}content-length: {}\r\ncontent-length: 2\r\n\r\n{body}", body.len());
    let negative = format!("{head}content-length: -1\r\n\r\n{body}");
    let bad_chunk = format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{body}");
    let unknown_coding = format!("{head}transfer-encoding: gzip\r\n\r\n{body}");
    let bare_name = format!("{head}no colon here\r\n\r\n{body}");
    let wrong_version = "GET /health HTTP/9.9\r\nhost: x\r\n\r\n".to_owned();
    let text = "\u{0}\u{1}\u{2} what?\r\n\r\n".to_owned();
    for message in [lengths, negative, bad_chunk, unknown_coding, bare_name, wrong_version, text] {
        let mut connection = Connection::open(pki.service.address()).unwrap();
        let _ = connection.socket().write_all(message.as_bytes());
        if let Ok(answer) = connection.answer() {
            assert!(matches!(answer.status, 400 | 501), "{}: {message}", answer.status);
        }
    }
    // A TLS client's first words.
    let mut connection = Connection::open(pki.service.address()).unwrap();
    let _ = connection.socket().write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n");
    assert!(connection.answer().is_err_and(|_| true) || pki.recorded() == 0);
    let huge = "x".repeat(1024 * 1024);
    for client in [
        pki.admin.clone().with_header("x-huge", &huge),
        (0..200).fold(pki.admin.clone(), |all, i| all.with_header(&format!("x-{i}"), "y")),
    ] {
        if let Ok(answer) = client.get("/health") {
            assert_eq!(answer.status, 431);
        }
    }
    if let Ok(answer) = pki.admin.get(&format!("/{huge}")) {
        assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
    }
    assert_eq!(pki.recorded(), 0);
    pki.still_works();
}

#[test]
fn a_length_and_chunks_together_smuggle_nothing() {
    let pki = Pki::dev();
    let smuggled =
        format!("GET /pki/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", pki.token);
    let message = format!(
        "POST /pki/csr/sign HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let mut connection = Connection::open(pki.service.address()).unwrap();
    connection.socket().write_all(message.as_bytes()).unwrap();
    // Refused for its framing, or for its missing credential.
    let first = connection.answer().unwrap();
    assert!(matches!(first.status, 400 | 401), "{}", first.status);
    pki.still_works();
}

#[test]
fn a_csr_of_a_size_that_nobody_needs_is_refused() {
    let pki = Pki::dev();
    let names: Vec<String> = (0..1200).map(|i| format!("DNS:a{i}.example.org")).collect();
    let uri = format!("URI:{}", spiffe_id("node", "n1"));
    let names: Vec<&str> = std::iter::once(uri.as_str()).chain(names.iter().map(String::as_str)).collect();
    let csr = Openssl::new("EC:P-384").names(&names).pem();
    refused(&pki.sign("node", "n1", &csr), 400, "csr_malformed");
    pki.still_works();
}
