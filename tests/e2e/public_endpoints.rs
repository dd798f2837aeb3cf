//! What anybody may read.

use crate::{
    pki::{DOMAIN, Pki, ok, refused, spiffe_id},
    x509::{Certificate, Crl, split_pem},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use catalyst_rigs::http::{Client, Response};
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("accept", "application/json")];

fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Response {
    client.request("GET", path, headers, b"").unwrap()
}

#[test]
fn health_and_readiness_are_for_everybody() {
    let pki = Pki::dev();
    let nobody = pki.service.http();
    assert_eq!(ok(&nobody.get("/health").unwrap()), json!({"status": "ok"}));
    assert_eq!(ok(&nobody.get("/ready").unwrap()), json!({"ready": true, "signing": "ok"}));
}

#[test]
fn the_bundle_is_pem_unless_json_is_asked_for() {
    let pki = Pki::dev();
    let nobody = pki.service.http();
    let pem = nobody.get("/pki/ca/bundle").unwrap();
    assert_eq!(pem.header("content-type"), Some("application/x-pem-file"));
    let cas = Certificate::all(&pem.text());
    assert_eq!(cas.len(), 3);
    let json = ok(&get(&nobody, "/pki/ca/bundle", &JSON));
    assert_eq!(json["trustDomain"], DOMAIN);
    let names = |bundle: &Value| {
        let pems = bundle.as_array().unwrap().iter().map(|pem| Certificate::from_pem(pem.as_str().unwrap()));
        pems.map(|ca| ca.common_name().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&json["servicesBundle"]), ["Catalyst Services CA", "Catalyst Root CA"]);
    assert_eq!(names(&json["transportBundle"]), ["Catalyst Transport CA", "Catalyst Root CA"]);
    assert_eq!(json.as_object().unwrap().len(), 5);
    // Among others, in any order, with or without a weight.
    for accept in ["text/html, application/json;q=0.9", "Application/JSON", "application/json; charset=utf-8"]
    {
        ok(&get(&nobody, "/pki/ca/bundle", &[("accept", accept)]));
    }
    for accept in ["*/*", "application/x-pem-file", "text/plain"] {
        assert_eq!(get(&nobody, "/pki/ca/bundle", &[("accept", accept)]).text(), pem.text());
    }
    for role in ["services", "transport"] {
        let all = nobody.get(&format!("/pki/ca/bundle?role={role}")).unwrap().text();
        assert_eq!(names(&json!(split_pem(&all))), names(&json[format!("{role}Bundle")]));
        let issuing = nobody.get(&format!("/pki/ca/bundle?anchors=issuing&role={role}")).unwrap().text();
        assert_eq!(names(&json!(split_pem(&issuing))), names(&json[format!("{role}Bundle")])[..1]);
    }
    // Both networks' intermediates in one file would let each trust the other's.
    refused(&nobody.get("/pki/ca/bundle?anchors=issuing").unwrap(), 400, "malformed_request");
    let issuing = ok(&get(&nobody, "/pki/ca/bundle?anchors=issuing", &JSON));
    assert_eq!(names(&issuing["servicesBundle"]), ["Catalyst Services CA"]);
    assert_eq!(names(&issuing["transportBundle"]), ["Catalyst Transport CA"]);
}

#[test]
fn what_is_unchanged_is_not_sent_again() {
    let pki = Pki::dev();
    let nobody = pki.service.http();
    for path in ["/pki/ca/bundle", "/.well-known/spiffe-bundle", "/pki/crl", "/pki/crl/services"] {
        let first = nobody.get(path).unwrap();
        assert_eq!(first.header("cache-control"), Some("public, max-age=300"), "{path}");
        let tag = first.header("etag").unwrap();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        for held in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
            let again = get(&nobody, path, &[("if-none-match", &held)]);
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)), "{path}");
            assert_eq!(again.header("cache-control"), Some("public, max-age=300"));
        }
        for other in ["\"other\"", "", tag.trim_matches('"')] {
            assert_eq!(get(&nobody, path, &[("if-none-match", other)]).status, 200, "{path}: {other}");
        }
    }
    let version = ok(&get(&nobody, "/pki/ca/bundle", &JSON))["version"].as_i64().unwrap();
    let tag = format!("\"{version}\"");
    assert_eq!(nobody.get("/pki/ca/bundle").unwrap().header("etag"), Some(tag.as_str()));
    assert_eq!(get(&nobody, "/pki/ca/bundle", &[JSON[0], ("if-none-match", &tag)]).status, 304);
    // A denial changes the CRL and not the bundle.
    let crl = nobody.get("/pki/crl").unwrap().header("etag").unwrap().to_owned();
    pki.issue("node", "n1");
    pki.deny(&spiffe_id("node", "n1"), false);
    assert_eq!(get(&nobody, "/pki/crl", &[("if-none-match", &crl)]).status, 200);
    assert_eq!(get(&nobody, "/pki/ca/bundle", &[("if-none-match", &tag)]).status, 304);
}

#[test]
fn the_spiffe_bundle_holds_the_roots_alone() {
    let pki = Pki::dev();
    let answer = pki.service.http().get("/.well-known/spiffe-bundle").unwrap();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let bundle = ok(&answer);
    assert!(bundle["spiffe_sequence"].is_u64() && bundle["spiffe_refresh_hint"].is_u64(), "{bundle}");
    let [key] = bundle["keys"].as_array().unwrap().as_slice() else { panic!("one root: {bundle}") };
    assert_eq!((&key["use"], &key["kty"], &key["crv"]), (&json!("x509-svid"), &json!("EC"), &json!("P-384")));
    assert!(key.get("kid").is_none());
    let [der] = key["x5c"].as_array().unwrap().as_slice() else { panic!("one certificate: {key}") };
    let root = Certificate::all(&pki.bundle()).remove(0);
    assert_eq!(STANDARD.decode(der.as_str().unwrap()).unwrap(), root.der);
}

#[test]
fn crls_are_served_together_by_role_and_by_key_identifier() {
    let pki = Pki::dev();
    let nobody = pki.service.http();
    let all = nobody.get("/pki/crl").unwrap();
    assert_eq!(all.header("content-type"), Some("application/x-pem-file"));
    let all: Vec<Vec<u8>> =
        split_pem(&all.text()).iter().map(|pem| der::pem::decode_vec(pem.as_bytes()).unwrap().1).collect();
    assert_eq!(all.len(), 3);
    for (role, ca) in ["root", "services", "transport"].iter().zip(Certificate::all(&pki.bundle())) {
        let by_role = nobody.get(&format!("/pki/crl/{role}")).unwrap();
        assert_eq!(by_role.header("content-type"), Some("application/pkix-crl"));
        assert_eq!(pki.crl(&ca.key_id()).der, by_role.body);
        assert_eq!(pki.crl(&ca.key_id().to_uppercase()).der, by_role.body);
        assert!(all.contains(&by_role.body));
        assert_eq!(Crl::from_der(&by_role.body).entries(), []);
    }
}

#[test]
fn the_token_keys_public_half_is_published() {
    let pki = Pki::dev();
    let answer = pki.service.http().get("/.well-known/jwks.json").unwrap();
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    let jwks = ok(&answer);
    let [key] = jwks["keys"].as_array().unwrap().as_slice() else { panic!("one key: {jwks}") };
    let mut names: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!((&key["alg"], &key["use"]), (&json!("ES384"), &json!("sig")));
}

#[test]
fn metrics_have_the_names_that_operators_know() {
    let pki = Pki::first_dev();
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    pki.deny(&spiffe_id("node", "n1"), false);
    ok(&pki.post("/pki/certificates/purge", &json!({})));
    let scraped = pki.service.http().get("/metrics").unwrap();
    assert_eq!(scraped.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = scraped.text();
    for line in [
        "catalyst_pki_cert_issued_total{algorithm=\"EC-P384\",issuer=\"Catalyst Services CA\",type=\"end-entity\"} 1",
        "catalyst_pki_cert_issued_total{algorithm=\"EC-P384\",issuer=\"Catalyst Transport CA\",type=\"end-entity\"} 1",
        "catalyst_pki_cert_issued_total{algorithm=\"EC-P384\",issuer=\"Catalyst Root CA\",type=\"intermediate\"} 2",
        "catalyst_pki_csr_sign_duration_seconds_count 2",
        "catalyst_pki_deny_list_size 1",
        "catalyst_pki_active_cert_count 1",
        "catalyst_pki_purged_cert_count 0",
        "catalyst_pki_key_state{backend=\"local\",ca_name=\"Catalyst Services CA\"} 1",
        "catalyst_pki_key_state{backend=\"local\",ca_name=\"Catalyst Transport CA\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    for name in [
        "ca_expiry_seconds{ca_name=\"Catalyst Root CA\"}",
        "ca_expiry_seconds{ca_name=\"Catalyst Services CA\"}",
        "crl_next_update_seconds{ca_name=\"Catalyst Transport CA\"}",
        "signing_inflight",
        "signing_throttled_total",
        "signing_duration_seconds_count{backend=\"local\",operation=\"sign\",outcome=\"ok\"}",
    ] {
        let name = format!("catalyst_pki_{name} ");
        assert!(text.lines().any(|line| line.starts_with(&name)), "{name} is not in\n{text}");
    }
    // Prometheus' exporters like to add units and `_total`.
    assert!(
        !text.contains("_total_total") && !text.contains("seconds_seconds") && !text.contains("count_total")
    );
    assert!(!text.contains("otel_scope") && !text.contains("target_info"));
}

#[test]
fn the_description_lists_every_route_and_each_of_them_answers() {
    let pki = Pki::dev();
    let document = ok(&pki.service.http().get("/openapi.json").unwrap());
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut described = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
            let concrete = path.replace("{ca}", "root").replace("{ski}", "0").replace("{id}", "0");
            let answer = pki.admin.request(&method, &concrete, &[], b"").unwrap();
            assert!(!matches!(answer.status, 401 | 405), "{method} {path}: {}", answer.status);
            if answer.status == 404 {
                // It is the thing that is missing, not the route.
                assert!(!refused(&answer, 404, "not_found").contains("at this path"), "{method} {path}");
            }
            described.push(format!("{method} {path}"));
        }
    }
    described.sort_unstable();
    assert_eq!(described.len(), 42, "{described:#?}");
}

#[test]
fn the_public_listener_serves_what_is_public_and_nothing_else() {
    let pki = Pki::dev_with(|launch| launch.env("CATALYST_PKI_PUBLIC_LISTEN", "127.0.0.1:0"));
    let address =
        pki.logged("Listening for public reads", "address").property("address").unwrap().parse().unwrap();
    let public = Client::new(address);
    let document = ok(&public.get("/openapi.json").unwrap());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{ca}", "root").replace("{ski}", "0").replace("{id}", "0");
            let client = public.clone().with_token(&pki.token);
            let answer = client.request(&method.to_uppercase(), &path, &[], b"").unwrap();
            if operation["security"].is_null() {
                assert_eq!(answer.status, 200, "{path}");
            } else {
                refused(&answer, 404, "not_found");
            }
        }
    }
    refused(
        &public.with_header("x-forwarded-client-cert", "x").get("/health").unwrap(),
        400,
        "forwarded_certificate_refused",
    );
}
