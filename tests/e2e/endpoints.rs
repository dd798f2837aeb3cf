//! Every endpoint asked by every kind of principal. What they may is written down here once more, so that neither a
//! policy nor the table of endpoints can open a door unseen.

use crate::{
    https::{Https, Trust},
    mutual_tls::connect,
    pki::{Issued, Pki, spiffe_id},
    tls::shown_own,
};
use catalyst_pki::server::ENDPOINTS;
use catalyst_rigs::http::{Client, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The node that everything is asked of, in the domain `example.org`.
const NODE: &str = "n1.example.org";
/// Another, in another domain.
const OTHER: &str = "n2.other.org";
/// The service itself, in `example.org`.
const SERVICE: &str = "auth-1.example.org";
const PRESHARED: &str = "dev-bootstrap-token";
const NOBODY: &str = "0000000000000000000000000000000000000000";

/// Whoever asks: over plain HTTP of this machine, or on a connection where a certificate was proven.
enum Caller {
    Token(Client),
    Certificate(Box<Https>),
}

impl Caller {
    fn ask(&mut self, (method, path, body): &(&str, String, Option<Value>)) -> Response {
        let body = body.as_ref().map_or_else(Vec::new, |body| body.to_string().into_bytes());
        match self {
            Self::Token(client) => client.request(method, path, &[], &body).unwrap(),
            Self::Certificate(connection) => connection.request(method, path, &[], &body).unwrap(),
        }
    }
}

fn callers(pki: &Pki, own: &Issued, other: &Issued) -> Vec<(&'static str, Caller)> {
    let token = |principal: &str, more: Value| Caller::Token(pki.as_(principal, &more));
    let scope = |set: &str, item: &str| json!({"entity": {set: [item]}});
    let bootstrap = |more: Value| {
        let token = pki.mint("bootstrap", "NODE", &more);
        Caller::Token(pki.service.http().with_token(&token))
    };
    let certificate = |issued| Caller::Certificate(Box::new(connect(pki, issued)));
    let unknown = Https::open(&pki.service, &Trust::anything()).unwrap();
    vec![
        ("admin", Caller::Token(pki.admin.clone())),
        ("admin-of-node", token("ADMIN", scope("trustedNodes", NODE))),
        ("admin-of-other-node", token("ADMIN", scope("trustedNodes", OTHER))),
        ("admin-of-service", token("ADMIN", scope("trustedNodes", SERVICE))),
        ("admin-of-domain", token("ADMIN", scope("trustedDomains", "example.org"))),
        ("admin-of-other-domain", token("ADMIN", scope("trustedDomains", "other.org"))),
        ("node", token("NODE", json!({"entity": {"nodeId": NODE}}))),
        ("other-node", token("NODE", json!({"entity": {"nodeId": OTHER}}))),
        ("node-custodian", token("NODE_CUSTODIAN", json!({}))),
        ("data-custodian", token("DATA_CUSTODIAN", json!({}))),
        ("user", token("USER", json!({}))),
        ("bootstrap", bootstrap(json!({"spiffeId": spiffe_id("node", NODE)}))),
        ("other-bootstrap", bootstrap(json!({"spiffeId": spiffe_id("node", OTHER)}))),
        ("any-bootstrap", bootstrap(json!({"anyIdentity": true, "uses": 100}))),
        ("preshared", Caller::Token(pki.service.http().with_token(PRESHARED))),
        ("svid", certificate(own)),
        ("other-svid", certificate(other)),
        ("nobody", Caller::Token(pki.service.http())),
        ("nobody-over-tls", Caller::Certificate(Box::new(unknown))),
    ]
}

/// Who may, beside a global ADMIN, who may everything. All others who say who they are may not.
fn allowed(endpoint: &str) -> &'static [&'static str] {
    const ADMINS_OF_IT: &[&str] = &["admin-of-node", "admin-of-domain"];
    const ADMINS_OF_SERVICE: &[&str] = &["admin-of-service", "admin-of-domain"];
    const ADMINS_OF_SERVICE_AND_NODES: &[&str] =
        &["admin-of-service", "admin-of-domain", "node", "other-node"];
    match endpoint {
        "POST /pki/csr/sign" => {
            &["admin-of-node", "admin-of-domain", "node", "bootstrap", "any-bootstrap", "preshared", "svid"]
        }
        "POST /pki/keypair"
        | "GET /pki/certificates"
        | "GET /pki/certificates/{id}"
        | "GET /pki/export/certificates"
        | "POST /pki/certificates/{id}/revoke"
        | "POST /pki/identities/deny"
        | "POST /pki/identities/allow"
        | "POST /pki/identities/release" => ADMINS_OF_IT,
        "POST /pki/certificates/purge"
        | "GET /pki/identities/denied"
        | "POST /pki/initialize"
        | "POST /pki/intermediary"
        | "GET /pki/status"
        | "GET /pki/ca"
        | "POST /pki/ca/{ski}/activate"
        | "POST /pki/ca/{ski}/retire"
        | "POST /pki/ca/{ski}/revoke"
        | "POST /pki/ca/{ski}/repin"
        | "POST /pki/recovery/confirm"
        | "GET /pki/keys/unclaimed"
        | "POST /pki/backends/retry"
        | "POST /pki/backups/verified"
        | "GET /pki/audit"
        | "GET /pki/audit/verify"
        | "POST /auth/keys/rotate" => &[],
        "POST /auth/tokens" | "GET /auth/tokens" | "POST /auth/tokens/revoke" => ADMINS_OF_SERVICE,
        "GET /auth/tokens/revoked" | "POST /auth/tokens/verify" | "GET /auth/keys" => {
            ADMINS_OF_SERVICE_AND_NODES
        }
        other => panic!("who may {other}? Say so here"),
    }
}

const PUBLIC: &[&str] = &[
    "GET /health",
    "GET /ready",
    "GET /metrics",
    "GET /openapi.json",
    "GET /pki/ca/bundle",
    "GET /pki/crl",
    "GET /pki/crl/{ca}",
    "GET /.well-known/jwks.json",
    "GET /.well-known/spiffe-bundle",
];

/// A request of the endpoint that concerns `node/n1.example.org` where it concerns anybody, and that changes nothing
/// where it is allowed: what is wrong with it is found after policy was asked.
fn request(method: &'static str, path: &str, serial: &str) -> (&'static str, String, Option<Value>) {
    let id = spiffe_id("node", NODE);
    let body = match (method, path) {
        ("POST", "/pki/csr/sign") => {
            Some(json!({"csrPem": "garbage", "serviceType": "node", "instanceId": NODE}))
        }
        ("POST", "/pki/keypair") => Some(json!({"serviceType": "node", "instanceId": NODE, "ttlSeconds": 0})),
        ("POST", "/pki/certificates/{id}/revoke") => Some(json!({"reason": "unknown"})),
        ("POST", "/pki/identities/deny") => Some(json!({"spiffeId": id, "reason": " "})),
        ("POST", "/pki/identities/allow") => Some(json!({"spiffeId": id})),
        ("POST", "/pki/identities/release") => Some(json!({"dnsName": NODE})),
        ("POST", "/pki/initialize") => Some(json!({"algorithm": "unknown"})),
        ("POST", "/pki/intermediary") => Some(json!({"commonName": "x", "algorithm": "unknown"})),
        ("POST", "/pki/ca/{ski}/repin") => Some(json!({"keyUri": "local:nowhere"})),
        ("POST", "/pki/recovery/confirm") => Some(json!({})),
        ("POST", "/pki/backends/retry") => Some(json!({"backend": "nowhere"})),
        ("POST", "/pki/backups/verified") => {
            Some(json!({"manifestSha256": "", "createdAt": "", "deployment": "another"}))
        }
        ("POST", "/auth/tokens") => Some(crate::tokens::asking("a", "unknown", &json!({}))),
        ("POST", "/auth/tokens/revoke") => Some(json!({})),
        ("POST", "/auth/tokens/verify") => Some(json!({"token": "x"})),
        ("POST", "/auth/authorize") => {
            Some(json!({"action": "LOGIN", "nodeContext": {"nodeId": NODE, "domains": ["example.org"]}}))
        }
        ("POST", "/auth/keys/rotate") => Some(json!({"immediate": true, "gracePeriodMs": 1})),
        _ => None,
    };
    let path = path.replace("{id}", serial).replace("{ski}", NOBODY).replace("{ca}", "services");
    let query =
        if ["/pki/certificates", "/pki/export/certificates"].contains(&path.as_str()) && method == "GET" {
            format!("?spiffeId={id}")
        } else {
            String::new()
        };
    (method, path + &query, body)
}

#[test]
fn every_endpoint_answers_every_principal_as_the_table_says() {
    let pki = Pki::dev_with(|launch| {
        launch
            .env("CATALYST_PKI_TLS", "always")
            .env("CATALYST_PKI_TLS_NAMES", "localhost")
            .env("CATALYST_NODE_ID", SERVICE)
            .env("CATALYST_DOMAINS", "example.org,other.org")
            .env("CATALYST_BOOTSTRAP_TOKEN", PRESHARED)
    });
    shown_own(&pki.service);
    let (own, other) = (pki.issue("node", NODE), pki.issue("node", OTHER));
    let mut callers = callers(&pki, &own, &other);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for endpoint in ENDPOINTS {
        let name = format!("{} {}", endpoint.method, endpoint.path);
        let asked = request(endpoint.method, endpoint.path, own.serial());
        let (public, question) = (PUBLIC.contains(&name.as_str()), name == "POST /auth/authorize");
        for (who, caller) in &mut callers {
            let answer = caller.ask(&asked);
            let code = answer.json().ok().and_then(|body| body["code"].as_str().map(str::to_owned));
            let code = code.unwrap_or_default();
            let expected = if public {
                "200"
            } else if who.starts_with("nobody") {
                "401"
            } else if *who == "admin" || question || allowed(&name).contains(who) {
                "passes"
            } else {
                "403 permission_denied"
            };
            let found = match answer.status {
                403 if code == "permission_denied" => "403 permission_denied",
                401 if code == "credential_missing" => "401",
                200 if public => "200",
                200..=299 | 400 | 404 | 422 => "passes",
                _ => "something else",
            };
            if found != expected {
                let text = answer.text();
                wrong.push(format!("{name} by {who}: {expected} expected, got {} {text}", answer.status));
            }
            // Whoever may not asks in vain for what is public too, but learns nothing that is not.
            if found == "403 permission_denied" {
                assert!(!answer.text().contains(own.serial()), "{name} by {who}: {}", answer.text());
            }
            if endpoint.path == "/pki/identities/release" && answer.status == 200 {
                pki.issue("node", NODE);
            }
        }
        seen.insert(name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(PUBLIC.iter().all(|name| seen.contains(*name)));
    assert_eq!(seen.len(), ENDPOINTS.len());
}

/// The same resource by another way round: without `spiffeId` the list is the whole deployment's, a CA's certificate is
/// nobody's, and certificates of `auth` are a global ADMIN's.
#[test]
fn what_belongs_to_the_whole_deployment_is_for_a_global_admin() {
    let pki = Pki::dev_with(|launch| {
        launch.env("CATALYST_NODE_ID", SERVICE).env("CATALYST_DOMAINS", "example.org,other.org")
    });
    let domains = json!({"entity": {"trustedDomains": ["example.org", "other.org"]}});
    let nodes = json!({"entity": {"trustedNodes": [SERVICE, NODE, ""]}});
    // An empty text in a set is refused when the token is minted, so that none matches an empty id.
    let minted = pki.post("/auth/tokens", &crate::tokens::asking("a", "ADMIN", &nodes));
    crate::pki::refused(&minted, 422, "invalid_request");
    let nodes = json!({"entity": {"trustedNodes": [SERVICE, NODE]}});
    let auth = pki.issue("auth", "auth-2.example.org");
    let cas = crate::pki::ok(&pki.get("/pki/certificates"));
    let rows = cas["certificates"].as_array().unwrap();
    let ca = rows.iter().find(|row| row["type"] == "services-ca").unwrap()["serial"].as_str().unwrap();
    for admin in [pki.as_("ADMIN", &domains), pki.as_("ADMIN", &nodes)] {
        let denied = |answer: &Response| drop(crate::pki::refused(answer, 403, "permission_denied"));
        let get = |path: &str| admin.get(path).unwrap();
        denied(&get("/pki/certificates"));
        denied(&get("/pki/export/certificates"));
        denied(&get(&format!("/pki/certificates?spiffeId={}", spiffe_id("auth", SERVICE))));
        denied(&get("/pki/certificates?spiffeId=spiffe://elsewhere.example/node/n1.example.org"));
        denied(&get(&format!("/pki/certificates/{ca}")));
        denied(&get(&format!("/pki/certificates/{}", auth.serial())));
        // What is not there is no more to be learned of than what is not one's own.
        denied(&get("/pki/certificates/00000000000000000000000000000000"));
        let post = |path: &str, body: &Value| admin.post(path, body).unwrap();
        denied(&post(&format!("/pki/certificates/{}/revoke", auth.serial()), &json!({})));
        let auth_id = spiffe_id("auth", SERVICE);
        denied(&post("/pki/identities/deny", &json!({"spiffeId": auth_id, "reason": "x"})));
        denied(&post("/pki/identities/allow", &json!({"spiffeId": auth_id})));
        denied(&post("/pki/keypair", &json!({"serviceType": "auth", "instanceId": SERVICE})));
        denied(&post("/pki/identities/release", &json!({"dnsName": "nobodys.example.org"})));
    }
}

#[test]
fn a_head_is_decided_as_the_get_that_it_stands_for() {
    let pki = Pki::dev();
    let user = pki.as_("USER", &json!({}));
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method == "GET") {
        let (_, path, _) = request("GET", endpoint.path, NOBODY);
        for client in [&pki.admin, &user, &pki.service.http()] {
            let head = client.request("HEAD", &path, &[], b"").unwrap();
            assert_eq!(head.status, client.get(&path).unwrap().status, "{path}");
            assert!(head.body.is_empty() && head.status < 500, "{path}: {}", head.status);
        }
    }
}
