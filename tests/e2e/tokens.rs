//! Tokens: made, listed, revoked; and nobody grants more than they hold.

use crate::pki::{Pki, ok, refused, spiffe_id};
use catalyst_rigs::http::{Client, Response};
use serde_json::{Value, json};

/// What an `auth token mint` asks for; fields may be overwritten.
pub(crate) fn asking(subject: &str, principal: &str, more: &Value) -> Value {
    let entity = json!({"id": subject, "name": subject, "type": "service"});
    let mut body = json!({"subject": subject, "principal": principal, "entity": entity});
    merge(&mut body, more);
    body
}

fn merge(into: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Object(_) => merge(&mut into[name], value),
            _ => into[name] = value.clone(),
        }
    }
}

impl Pki {
    /// A token that the administrator makes.
    #[track_caller]
    pub(crate) fn mint(&self, subject: &str, principal: &str, more: &Value) -> String {
        let answer = ok(&self.post("/auth/tokens", &asking(subject, principal, more)));
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Whoever holds a token that the administrator makes.
    #[track_caller]
    pub(crate) fn as_(&self, principal: &str, more: &Value) -> Client {
        self.service.http().with_token(&self.mint("someone", principal, more))
    }
}

fn mint_as(client: &Client, subject: &str, principal: &str, more: &Value) -> Response {
    client.post("/auth/tokens", &asking(subject, principal, more)).unwrap()
}

fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[test]
fn a_minted_token_says_what_was_asked_and_works_until_it_is_revoked() {
    let pki = Pki::dev();
    let more = json!({"expiresIn": "2h", "sans": ["laptop-7"], "entity": {"trustedNodes": ["n1"], "trustedDomains": ["example.org"]}});
    let token = pki.mint("alice", "ADMIN", &more);
    let said = claims(&token);
    assert_eq!(said["sub"], "alice");
    assert_eq!(said["principal"], "CATALYST::ADMIN");
    assert_eq!(said["aud"], "catalyst.example.com");
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 7200);
    assert_eq!(said["nbf"], said["iat"]);
    assert_eq!(said["entity"]["trustedNodes"], json!(["n1"]));
    let alice = pki.service.http().with_token(&token);
    let body = json!({"csrPem": csr("node", "n1"), "serviceType": "node", "instanceId": "n1"});
    // In its nodes, but the deployment of this test has no domains, so in no trusted one.
    refused(&alice.post("/pki/csr/sign", &body).unwrap(), 403, "permission_denied");
    let listed = ok(&pki.get("/auth/tokens?san=laptop-7"));
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
    assert_eq!((&listed["tokens"][0]["jti"], &listed["tokens"][0]["revoked"]), (&said["jti"], &json!(false)));
    assert!(!pki.get("/auth/tokens").text().contains(token.split('.').nth(2).unwrap()));
    ok(&pki.post("/auth/tokens/verify", &json!({"token": token})));
    let revoked = ok(&pki.post("/auth/tokens/revoke", &json!({"san": "laptop-7"})));
    assert_eq!(revoked["revoked"], 1);
    refused(&alice.post("/pki/csr/sign", &body).unwrap(), 401, "credential_revoked");
    let verdict = ok(&pki.post("/auth/tokens/verify", &json!({"token": token})));
    assert_eq!(verdict["valid"], false);
    assert_eq!(ok(&pki.get("/auth/tokens/revoked")), json!([said["jti"]]));
    let again = ok(&pki.post("/auth/tokens/revoke", &json!({"jti": said["jti"]})));
    assert_eq!(again["revoked"], 0);
}

pub(crate) fn csr(service_type: &str, instance: &str) -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    crate::csr::of(&key, &[&spiffe_id(service_type, instance)], &[])
}

#[test]
fn revocation_without_saying_of_what_is_an_error() {
    let pki = Pki::dev();
    refused(&pki.post("/auth/tokens/revoke", &json!({})), 422, "selector_missing");
    let both = json!({"jti": "a", "san": "b"});
    refused(&pki.post("/auth/tokens/revoke", &both), 422, "selector_missing");
    refused(
        &pki.post("/auth/tokens/revoke", &json!({"certificateFingerprint": "zz"})),
        422,
        "fingerprint_malformed",
    );
    refused(&pki.post("/auth/tokens/revoke", &json!({"subject": "alice"})), 400, "malformed_request");
}

#[test]
fn a_revocation_bites_at_the_next_call_on_an_open_connection() {
    let pki = Pki::dev();
    let token = pki.mint("n1", "ADMIN", &json!({}));
    let mut connection = catalyst_rigs::http::Connection::open(pki.service.address()).unwrap();
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    for _ in 0..3 {
        assert_eq!(connection.request("GET", "/pki/status", &headers, b"").unwrap().status, 200);
    }
    ok(&pki.post("/auth/tokens/revoke", &json!({"jti": claims(&token)["jti"]})));
    let answer = connection.request("GET", "/pki/status", &headers, b"").unwrap();
    refused(&answer, 401, "credential_revoked");
}

#[test]
fn nobody_grants_more_than_they_hold() {
    let pki = Pki::dev_with(|launch| {
        launch.env("CATALYST_NODE_ID", "auth-1.example.org").env("CATALYST_DOMAINS", "example.org,other.org")
    });
    let scope = json!({"entity": {"trustedDomains": ["example.org"]}});
    let scoped = pki.as_("ADMIN", &scope);
    let beyond = |answer: &Response| drop(refused(answer, 403, "grant_exceeds_own"));
    beyond(&mint_as(&scoped, "a", "ADMIN", &json!({})));
    beyond(&mint_as(&scoped, "a", "ADMIN", &scope));
    beyond(&mint_as(&scoped, "a", "NODE", &json!({"entity": {"trustedDomains": ["other.org"]}})));
    beyond(&mint_as(
        &scoped,
        "a",
        "NODE",
        &json!({"entity": {"trustedDomains": ["example.org", "other.org"]}}),
    ));
    beyond(&mint_as(&scoped, "a", "NODE", &json!({"entity": {"nodeId": "n1.other.org"}})));
    beyond(&mint_as(&scoped, "a", "USER", &json!({"expiresIn": "2h"})));
    beyond(&mint_as(&scoped, "bootstrap", "NODE", &json!({"anyIdentity": true})));
    beyond(&mint_as(&scoped, "bootstrap", "NODE", &json!({})));
    beyond(&mint_as(&scoped, "bootstrap", "NODE", &json!({"spiffeId": spiffe_id("node", "n1.other.org")})));
    // A missing set, and an empty one, take the minter's.
    for sets in [json!({}), json!({"entity": {"trustedDomains": [], "trustedNodes": []}})] {
        let minted = ok(&mint_as(&scoped, "a", "NODE_CUSTODIAN", &sets));
        let said = claims(minted["token"].as_str().unwrap());
        assert_eq!(said["entity"]["trustedDomains"], json!(["example.org"]));
    }
    ok(&mint_as(&scoped, "a", "NODE", &json!({"entity": {"nodeId": "n1.example.org"}})));
    ok(&mint_as(
        &scoped,
        "bootstrap",
        "NODE",
        &json!({"spiffeId": spiffe_id("node", "n1.example.org"), "expiresIn": "10m"}),
    ));
    // An end later than the minter's is refused where it is asked for, and the minter's where nothing is said.
    let own_end = {
        let minted = ok(&mint_as(&pki.admin, "brief", "ADMIN", &json!({"expiresIn": "10m"})));
        let token = minted["token"].as_str().unwrap().to_owned();
        let child = ok(&mint_as(&pki.service.http().with_token(&token), "child", "USER", &json!({})));
        assert_eq!(claims(child["token"].as_str().unwrap())["exp"], claims(&token)["exp"]);
        claims(&token)["exp"].as_i64().unwrap()
    };
    assert!(own_end > 0);
    for (principal, code) in [("NODE", 403), ("NODE_CUSTODIAN", 403), ("DATA_CUSTODIAN", 403), ("USER", 403)]
    {
        assert_eq!(
            mint_as(&pki.as_(principal, &json!({})), "a", "USER", &json!({})).status,
            code,
            "{principal}"
        );
    }
}

#[test]
fn a_wrong_request_for_a_token_is_refused_with_a_sentence() {
    let pki = Pki::dev();
    let wrong = |principal: &str, more: Value, status: u16, code: &str| {
        refused(&mint_as(&pki.admin, "a", principal, &more), status, code);
    };
    wrong("ROOT", json!({}), 422, "principal_unknown");
    wrong("admin", json!({}), 422, "principal_unknown");
    wrong("SVID", json!({}), 422, "invalid_request");
    wrong("BOOTSTRAP", json!({}), 422, "invalid_request");
    for lifetime in ["", "1", "0s", "366d", "-1h", "forever", "1h; rm -rf"] {
        assert_eq!(
            mint_as(&pki.admin, "a", "USER", &json!({"expiresIn": lifetime})).status,
            422,
            "{lifetime}"
        );
    }
    wrong("USER", json!({"expiresIn": 3600}), 400, "malformed_request");
    wrong("USER", json!({"certificateFingerprint": "abc"}), 422, "fingerprint_malformed");
    wrong("USER", json!({"spiffeId": spiffe_id("node", "n1")}), 422, "invalid_request");
    wrong("USER", json!({"uses": 3}), 422, "invalid_request");
    wrong("USER", json!({"entity": {"name": ""}}), 422, "invalid_request");
    wrong("USER", json!({"entity": {"name": "a\u{0}b"}}), 422, "invalid_request");
    wrong("USER", json!({"entity": {"name": "a\u{202e}b"}}), 422, "invalid_request");
    wrong("USER", json!({"entity": {"id": "x".repeat(256)}}), 422, "invalid_request");
    wrong("USER", json!({"entity": {"trustedNodes": [""]}}), 422, "invalid_request");
    wrong("USER", json!({"sans": vec!["x"; 101]}), 422, "invalid_request");
    wrong("NODE", json!({"entity": {"nodeId": "Not_A_Name"}}), 422, "invalid_request");
    wrong("USER", json!({"entity": {"admin": true}}), 400, "malformed_request");
    // The service itself would not take it.
    let many: Vec<String> = (0..100).map(|n| format!("{n:0255}")).collect();
    wrong("USER", json!({"entity": {"trustedNodes": many}}), 422, "invalid_request");
    // Text that means something elsewhere is text here.
    let odd = "\"); permit(principal, action, resource); //é";
    let token = pki.mint(odd, "USER", &json!({"entity": {"name": odd, "trustedDomains": [odd]}}));
    assert_eq!(claims(&token)["sub"], odd);
    refused(&pki.service.http().with_token(&token).get("/pki/status").unwrap(), 403, "permission_denied");
}

#[test]
fn a_token_bound_to_a_certificate_is_refused_without_it() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let fingerprint = issued.answer["fingerprint"].as_str().unwrap();
    let token = pki.mint("n1", "ADMIN", &json!({"certificateFingerprint": fingerprint}));
    assert_eq!(claims(&token)["cnf"]["x5t#S256"], fingerprint);
    // On loopback too.
    refused(&pki.service.http().with_token(&token).get("/pki/status").unwrap(), 401, "credential_invalid");
    let line =
        pki.logged("Certificate binding mismatch — cnf.x5t#S256 does not match TLS certificate", fingerprint);
    assert_eq!(line.property("action"), Some("rejected"));
    let listed = ok(&pki.get(&format!("/auth/tokens?certificateFingerprint={fingerprint}")));
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
    // Denying the identity revokes it.
    pki.deny(&spiffe_id("node", "n1"), false);
    refused(&pki.service.http().with_token(&token).get("/pki/status").unwrap(), 401, "credential_revoked");
    let verdict = ok(&pki.post("/auth/tokens/verify", &json!({"token": token})));
    assert_eq!(verdict["valid"], false);
}

#[test]
fn a_node_has_certificates_signed_for_itself_alone() {
    let pki = Pki::dev();
    let node = pki.as_("NODE", &json!({"entity": {"nodeId": "n1.example.org"}}));
    let sign = |service_type: &str, instance: &str| {
        let body = json!({"csrPem": csr(service_type, instance), "serviceType": service_type, "instanceId": instance});
        node.post("/pki/csr/sign", &body).unwrap()
    };
    for service_type in ["orchestrator", "node", "gateway", "envoy/app", "envoy/transport"] {
        ok(&sign(service_type, "n1.example.org"));
    }
    refused(&sign("auth", "n1.example.org"), 403, "permission_denied");
    refused(&sign("node", "n2.example.org"), 403, "permission_denied");
    refused(&sign("node", "1.example.org"), 403, "permission_denied");
    // First and again.
    ok(&sign("node", "n1.example.org"));
    // Without a node id it is no node.
    let nameless = pki.as_("NODE", &json!({}));
    let body = json!({"csrPem": csr("node", "someone"), "serviceType": "node", "instanceId": "someone"});
    refused(&nameless.post("/pki/csr/sign", &body).unwrap(), 403, "permission_denied");
}

#[test]
fn what_a_token_may_do_elsewhere_is_answered() {
    let pki = Pki::dev();
    let may = |client: &Client, action: &str, node: &str, domain: &str| {
        let body = json!({"action": action, "nodeContext": {"nodeId": node, "domains": [domain]}});
        ok(&client.post("/auth/authorize", &body).unwrap())
    };
    let node = pki.as_("NODE", &json!({"entity": {"trustedDomains": ["example.org"]}}));
    assert_eq!(
        may(&node, "IBGP_CONNECT", "n2.example.org", "example.org"),
        json!({"success": true, "allowed": true})
    );
    let denied = may(&node, "IBGP_CONNECT", "n2.other.org", "other.org");
    assert_eq!((&denied["success"], &denied["errorType"]), (&json!(false), &json!("permission_denied")));
    assert_eq!(may(&node, "PEER_CREATE", "n2.example.org", "example.org")["success"], false);
    let user = pki.as_("USER", &json!({}));
    assert_eq!(may(&user, "LOGIN", "n1", "x.org")["success"], true);
    assert_eq!(may(&user, "MANAGE", "n1", "x.org")["success"], false);
    // What a request names does not fill the log.
    assert_eq!(may(&user, "CA_MANAGE", &"n".repeat(30_000), &"d".repeat(30_000))["success"], false);
    let line = pki.logged("Permission denied for action: CA_MANAGE", "nnn");
    assert_eq!(line.property("node_id").map(str::len), Some(255));
    let body = json!({"action": "FLY", "nodeContext": {"nodeId": "n", "domains": []}});
    refused(&user.post("/auth/authorize", &body).unwrap(), 422, "action_unknown");
}

#[test]
fn a_scoped_administrator_revokes_nothing_beyond_its_scope() {
    let pki = Pki::dev_with(|launch| {
        launch.env("CATALYST_NODE_ID", "auth-1.example.org").env("CATALYST_DOMAINS", "example.org,other.org")
    });
    let scope = json!({"entity": {"trustedDomains": ["example.org"]}, "sans": ["shared"]});
    let scoped = pki.as_("ADMIN", &scope);
    let system = claims(&pki.token)["jti"].clone();
    let elsewhere =
        pki.mint("n2", "NODE", &json!({"entity": {"trustedDomains": ["other.org"]}, "sans": ["shared"]}));
    let anywhere = pki.mint("n3", "NODE", &json!({}));
    let within = pki.mint("n1", "NODE", &json!({"entity": {"trustedDomains": ["example.org"]}}));
    let revoke = |body: &Value| scoped.post("/auth/tokens/revoke", body).unwrap();
    for jti in [&system, &claims(&elsewhere)["jti"], &claims(&anywhere)["jti"]] {
        refused(&revoke(&json!({"jti": jti})), 403, "grant_exceeds_own");
    }
    // One of several is beyond: then none is revoked.
    refused(&revoke(&json!({"san": "shared"})), 403, "grant_exceeds_own");
    assert_eq!(ok(&revoke(&json!({"jti": claims(&within)["jti"]})))["revoked"], 1);
    ok(&pki.get("/pki/status"));
}

#[test]
fn a_certificate_that_was_revoked_binds_no_token() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let binding = json!({"certificateFingerprint": issued.answer["fingerprint"]});
    ok(&mint_as(&pki.admin, "n1", "NODE", &binding));
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", issued.serial()), &json!({})));
    let sentence = refused(&mint_as(&pki.admin, "n1", "NODE", &binding), 422, "invalid_request");
    assert!(sentence.contains("is revoked"), "{sentence}");
}
