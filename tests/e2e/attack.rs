//! What an attacker sends: pages of other origins, certificates by hearsay, requests within requests, and octets that
//! come slowly.

use crate::{
    https::{Https, Trust},
    mutual_tls::connect,
    pki::{Pki, ok, refused},
    tls::{dev, shown_own},
    tokens::csr,
};
use catalyst_pki::server::ENDPOINTS;
use catalyst_rigs::http::{Connection, Response};
use serde_json::json;
use std::{
    io::{self, Write as _},
    thread,
};

const CONSOLE: &str = "https://console.example.org";

/// All endpoints that need a credential, with something in the place of parameters.
fn authenticated() -> impl Iterator<Item = (&'static str, String)> {
    let guarded =
        ENDPOINTS.iter().filter(|endpoint| endpoint.action.is_some() || endpoint.path == "/auth/authorize");
    guarded.map(|endpoint| (endpoint.method, endpoint.path.replace("{id}", "0").replace("{ski}", "0")))
}

#[test]
fn a_page_of_any_origin_is_refused_unless_the_operator_names_it() {
    let pki = Pki::dev();
    let mut asked = 0;
    for (method, path) in authenticated() {
        for origin in ["https://evil.example", "null", "", "http://127.0.0.1", CONSOLE] {
            let answer = pki.admin.request(method, &path, &[("origin", origin)], b"").unwrap();
            refused(&answer, 403, "origin_refused");
            asked += 1;
        }
    }
    assert_eq!(asked, 33 * 5);
    // What is public is public to pages too.
    let bundle = pki.service.http().with_header("origin", "https://evil.example");
    assert_eq!(bundle.get("/pki/ca/bundle").unwrap().status, 200);

    let pki = Pki::dev_with(|launch| launch.env("CATALYST_PKI_ALLOWED_ORIGINS", CONSOLE));
    let from = |origins: &[&str]| {
        let headers: Vec<_> = origins.iter().map(|origin| ("origin", *origin)).collect();
        pki.admin.request("GET", "/pki/status", &headers, b"").unwrap()
    };
    ok(&from(&[CONSOLE]));
    ok(&from(&[]));
    for origin in [
        "https://console.example.org.evil.example",
        "https://console.example.org:8443",
        "http://console.example.org",
        "https://evil.example/https://console.example.org",
        "https://console.example.org/",
        "null",
        "*",
    ] {
        refused(&from(&[origin]), 403, "origin_refused");
        refused(&from(&[CONSOLE, origin]), 403, "origin_refused");
    }
}

#[test]
fn a_page_is_refused_whatever_certificate_its_browser_shows() {
    let pki = dev();
    let mut connection = connect(&pki, &pki.issue("node", "n1"));
    let body = json!({"csrPem": csr("node", "n1"), "serviceType": "node", "instanceId": "n1"}).to_string();
    let headers = [("origin", "https://evil.example")];
    let answer = connection.request("POST", "/pki/csr/sign", &headers, body.as_bytes()).unwrap();
    refused(&answer, 403, "origin_refused");
    ok(&connection.request("POST", "/pki/csr/sign", &[], body.as_bytes()).unwrap());
}

#[test]
fn a_forwarded_certificate_is_refused_from_who_proves_one_too() {
    let pki = dev();
    let issued = pki.issue("node", "n1");
    let fingerprint = issued.answer["fingerprint"].as_str().unwrap();
    let genuine = format!("Hash={fingerprint};URI=spiffe://catalyst.example.com/node/n1");
    let bearer = format!("Bearer {}", pki.token);
    for trust in [Trust::holding(&issued), Trust::anything()] {
        for value in [genuine.as_str(), "", "Hash=00;Subject=\"\"", "By=x,By=y"] {
            for path in ["/pki/status", "/health", "/pki/ca/bundle"] {
                let mut connection = Https::open(&pki.service, &trust).unwrap();
                let headers = [("X-Forwarded-Client-Cert", value), ("authorization", &bearer)];
                let answer = connection.request("GET", path, &headers, b"").unwrap();
                refused(&answer, 400, "forwarded_certificate_refused");
            }
        }
    }
}

#[test]
fn what_answers_a_secret_is_kept_by_no_cache() {
    let pki = Pki::dev();
    let no_store = |answer: &Response| {
        ok(answer);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    };
    no_store(&pki.post("/auth/tokens", &crate::tokens::asking("a", "USER", &json!({}))));
    no_store(&pki.post("/auth/tokens", &crate::tokens::asking("bootstrap", "NODE", &json!({}))));
    no_store(&pki.post("/pki/keypair", &json!({"serviceType": "node", "instanceId": "n1"})));
    no_store(&pki.sign("node", "n1", &csr("node", "n1")));
    no_store(&pki.get("/auth/tokens"));
    no_store(&pki.get("/pki/audit"));
    no_store(&pki.post("/auth/keys/rotate", &json!({})));
}

#[test]
fn a_request_within_a_request_is_never_served() {
    let pki = dev();
    shown_own(&pki.service);
    let minted = || ok(&pki.get("/auth/tokens"))["tokens"].as_array().unwrap().len();
    let before = minted();
    let body = crate::tokens::asking("smuggled", "ADMIN", &json!({})).to_string();
    let length = body.len();
    let bearer = &pki.token;
    let hidden = format!(
        "POST /auth/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let all = hidden.len();
    // The outer request is nobody's, or says its length twice: whoever believes the other length sees the hidden one.
    let framings = [
        format!("content-length: 0\r\ncontent-length: {all}\r\n"),
        format!("content-length: {all}\r\ncontent-length: 0\r\n"),
        format!("content-length: 0, {all}\r\n"),
        format!("content-length: 0\r\ntransfer-encoding: chunked\r\ncontent-length: {all}\r\n"),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "content-length: +0\r\n".to_owned(),
        "content-length: 0x0\r\n".to_owned(),
        "content-length : 0\r\n".to_owned(),
        format!("content-length:\r\n 0\r\ncontent-length: {all}\r\n"),
    ];
    for framing in framings {
        let outer = format!("POST /auth/tokens/verify HTTP/1.1\r\nhost: x\r\n{framing}\r\n{hidden}");
        let chunked = outer.replace(&format!("\r\n\r\n{hidden}"), &format!("\r\n\r\n0\r\n\r\n{hidden}"));
        for message in [outer, chunked] {
            let mut plain = Connection::open(pki.service.address()).unwrap();
            plain.socket().write_all(message.as_bytes()).unwrap();
            if let Ok(first) = plain.answer() {
                assert!(matches!(first.status, 400 | 401 | 501), "{}: {framing}", first.status);
            }
            // Whatever came after was not taken for a request of its own that anybody answered with a token.
            let second = plain.answer().map(|answer| answer.status);
            assert!(!matches!(second, Ok(200)), "{framing}");
            let mut tls = Https::open(&pki.service, &Trust::anything()).unwrap();
            tls.send(message.as_bytes()).unwrap();
            let statuses = [tls.answer(), tls.answer()].map(|answer| answer.map(|answer| answer.status));
            assert!(!statuses.iter().any(|status| matches!(status, Ok(200))), "{framing}: {statuses:?}");
        }
    }
    assert_eq!(minted(), before);
}

/// How a connection ends on which nothing more is sent: with an answer, or without.
fn end(connection: &mut Https) -> io::Result<u16> {
    connection.answer().map(|answer| answer.status)
}

#[test]
fn heads_and_bodies_that_come_slowly_over_tls_are_not_waited_for() {
    let pki = dev();
    shown_own(&pki.service);
    let open = || Https::open(&pki.service, &Trust::anything()).unwrap();
    let bearer = &pki.token;
    let begin = |sent: String| {
        let mut connection = open();
        connection.send(sent.as_bytes()).unwrap();
        connection
    };
    let nothing = open();
    let half_a_line = begin("GET /pki/sta".to_owned());
    let half_a_head =
        begin(format!("GET /pki/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\n"));
    let h2 = begin("PRI * HTTP/2.0\r\n\r\n".to_owned());
    let half_a_body = begin(format!(
        "POST /auth/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\ncontent-length: 100\r\n\r\n{{"
    ));
    // Nobody whose credential is not good is waited for at all.
    let mut unknown =
        begin("POST /auth/tokens HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{".to_owned());
    assert_eq!(end(&mut unknown).unwrap(), 401);
    thread::scope(|scope| {
        let ends = [nothing, half_a_line, half_a_head, h2]
            .map(|mut connection| scope.spawn(move || end(&mut connection)));
        let mut half_a_body = half_a_body;
        assert_eq!(end(&mut half_a_body).unwrap(), 408);
        for ended in ends {
            match ended.join().unwrap() {
                Ok(status) => assert_eq!(status, 408),
                // Cut off; a timeout of this client's own would be another kind.
                Err(error) => assert!(
                    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
                    "{error}"
                ),
            }
        }
    });
    pki.still_works();
}
