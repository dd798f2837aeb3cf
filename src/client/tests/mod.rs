//! The client against services that are not what they should be.

mod certificates;
pub(crate) mod fake;
mod genuine;

use super::*;
use crate::{api::TokenKeys, identity::Fingerprint};
use fake::{Answer, Fake, Identity, TestCa};
use std::io::Write as _;

const SERVICE: &str = "spiffe://example.org/auth/auth-1";
const JSON: &str = "application/json";
const KEYS: &str = r#"{"success": true, "jwks": {"keys": []}}"#;

fn options(url: String, trust: Trust) -> Options {
    Options { url: url.parse().unwrap(), trust, insecure_http: false, token: Some("the-token".into()) }
}

async fn asked(fake: &Fake, trust: Trust) -> Result<TokenKeys> {
    let client = Client::open(options(format!("wss://{}/rpc", fake.address), trust)).await?;
    client.get("/auth/keys", &[]).await
}

async fn asked_plain(answer: Answer) -> ClientError {
    let fake = Fake::plain(move |_| answer.clone()).await;
    let client = Client::open(options(format!("ws://{}/rpc", fake.address), Trust::Nothing)).await.unwrap();
    client.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err()
}

/// Answers the CA's bundle and, to everything else, keys.
fn service(ca: &TestCa) -> impl Fn(&str) -> Answer + use<> {
    let bundle = ca.pem.clone();
    move |target| match target {
        "/pki/ca/bundle" => (200, "application/x-pem-file", bundle.clone()),
        _ => (200, JSON, KEYS.into()),
    }
}

fn pin(der: &[u8]) -> Fingerprint {
    Fingerprint::of_certificate(der)
}

fn ca_file(ca: &TestCa) -> (tempfile::NamedTempFile, Trust) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ca.pem.as_bytes()).unwrap();
    let trust = Trust::CaFile(file.path().to_owned());
    (file, trust)
}

fn token_was_sent(fake: &Fake) -> bool {
    fake.seen().iter().any(|seen| seen.authorization.is_some())
}

#[tokio::test]
async fn with_nothing_pinned_the_fingerprint_is_shown_and_nothing_is_sent() {
    let ca = TestCa::new();
    let mut identity = ca.server(&[SERVICE]);
    identity.chain.push(ca.der.clone());
    let leaf = pin(&identity.chain[0]);
    let fake = Fake::tls(identity, service(&ca)).await;
    let error = asked(&fake, Trust::Nothing).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    for shown in [leaf, pin(&ca.der)] {
        assert!(error.message.contains(&shown.to_string()), "{error}");
    }
    assert!(error.hint.unwrap().contains("--server-fingerprint"));
    assert_eq!(fake.seen(), []);
}

#[tokio::test]
async fn a_chain_that_does_not_end_in_a_root_shows_none() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let mut identity = ca.server(&[SERVICE]);
    identity.chain.push(other.der.clone());
    let fake = Fake::tls(identity, service(&ca)).await;
    let error = asked(&fake, Trust::Nothing).await.unwrap_err();
    assert!(!error.message.contains(&pin(&other.der).to_string()), "{error}");
}

#[tokio::test]
async fn the_token_goes_only_over_the_connection_that_the_pinned_root_vouches_for() {
    let ca = TestCa::new();
    let fake = Fake::tls(ca.server(&[SERVICE]), service(&ca)).await;
    asked(&fake, Trust::Root(pin(&ca.der))).await.unwrap();
    let seen: Vec<_> = fake.seen().into_iter().map(|seen| (seen.target, seen.authorization)).collect();
    let bearer = Some("Bearer the-token".to_owned());
    assert_eq!(seen, [("/pki/ca/bundle".into(), None), ("/auth/keys".into(), bearer)]);
}

/// ML-DSA is no algorithm of TLS handshakes here, and one of CAs.
#[tokio::test]
async fn roots_of_every_kind_can_be_pinned() {
    for algorithm in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519, &rcgen::PKCS_ML_DSA_65, &rcgen::PKCS_ML_DSA_87]
    {
        let ca = TestCa::with(algorithm);
        let fake = Fake::tls(ca.server(&[SERVICE]), service(&ca)).await;
        asked(&fake, Trust::Root(pin(&ca.der))).await.unwrap();
    }
}

#[tokio::test]
async fn another_root_than_the_pinned_one_is_refused() {
    let ca = TestCa::new();
    let fake = Fake::tls(ca.server(&[SERVICE]), service(&ca)).await;
    let error = asked(&fake, Trust::Root(pin(&TestCa::new().der))).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.message.contains("no certificate in the bundle"), "{error}");
    assert!(!token_was_sent(&fake));
}

/// Whoever stands between can pass on the true bundle, which is public, but has no certificate under its root.
#[tokio::test]
async fn a_true_bundle_from_a_false_server_does_not_help_it() {
    let (ca, attacker) = (TestCa::new(), TestCa::new());
    let fake = Fake::tls(attacker.server(&[SERVICE]), service(&ca)).await;
    let error = asked(&fake, Trust::Root(pin(&ca.der))).await.unwrap_err();
    assert!(error.message.contains("does not chain"), "{error}");
    assert!(!token_was_sent(&fake));
}

#[tokio::test]
async fn only_the_ca_itself_is_accepted_as_the_ca() {
    let ca = TestCa::new();
    let (_file, by_file) = ca_file(&ca);
    let others: [&[&str]; 6] = [
        &["spiffe://example.org/node/node-a", "127.0.0.1"],
        &["spiffe://example.org/authentic/auth-1", "127.0.0.1"],
        &["spiffe://example.org/auth", "127.0.0.1"],
        &["SPIFFE://example.org/auth/auth-1", "127.0.0.1"],
        &[SERVICE, "spiffe://example.org/node/node-a"],
        &[SERVICE, "https://example.org/"],
    ];
    for names in others {
        let fake = Fake::tls(ca.server(names), service(&ca)).await;
        for trust in [Trust::Root(pin(&ca.der)), by_file.clone()] {
            let error = asked(&fake, trust).await.unwrap_err();
            assert_eq!(error.kind, Kind::Unreachable, "{names:?}");
            assert!(error.message.contains("is not accepted"), "{names:?}: {error}");
        }
        assert!(!token_was_sent(&fake), "{names:?}");
    }
}

#[tokio::test]
async fn a_certificate_from_files_needs_the_hosts_name() {
    let ca = TestCa::new();
    let (_file, by_file) = ca_file(&ca);
    let with =
        async |names: &[&str], trust| asked(&Fake::tls(ca.server(names), service(&ca)).await, trust).await;
    with(&["127.0.0.1"], by_file.clone()).await.unwrap();
    // The CA's own certificate needs none.
    with(&[SERVICE], by_file.clone()).await.unwrap();
    let error = with(&["auth.example.org"], by_file).await.unwrap_err();
    assert!(error.message.contains("is not accepted"), "{error}");
    // Under the CA's own root a certificate without a SPIFFE id is not the CA's.
    let error = with(&["127.0.0.1"], Trust::Root(pin(&ca.der))).await.unwrap_err();
    assert!(error.message.contains("names no SPIFFE id"), "{error}");
}

#[tokio::test]
async fn time_and_purpose_of_a_certificate_are_checked() {
    let ca = TestCa::new();
    let expired = ca.server_with(&[SERVICE], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    });
    let client_only = ca.server_with(&[SERVICE], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    for identity in [expired, client_only] {
        let fake = Fake::tls(identity, service(&ca)).await;
        assert_eq!(asked(&fake, Trust::Root(pin(&ca.der))).await.unwrap_err().kind, Kind::Unreachable);
        assert!(!token_was_sent(&fake));
    }
}

#[tokio::test]
async fn a_certificate_that_changes_is_looked_at_again() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let identity = ca.server(&[SERVICE]);
    let (leaf, root) = (pin(&identity.chain[0]), pin(&ca.der));
    let fake = Fake::tls(identity, service(&ca)).await;
    let open = async |trust| Client::open(options(format!("https://{}", fake.address), trust)).await.unwrap();
    let (by_leaf, by_root) = (open(Trust::Server(leaf)).await, open(Trust::Root(root)).await);
    by_leaf.get::<TokenKeys>("/auth/keys", &[]).await.unwrap();
    // Renewed by the same CA: good under the root, another certificate under the leaf's pin.
    fake.show(ca.server(&[SERVICE]));
    by_root.get::<TokenKeys>("/auth/keys", &[]).await.unwrap();
    let error = by_leaf.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err();
    assert!(error.message.contains(&leaf.to_string()), "{error}");
    let hint = error.hint.unwrap();
    assert!(hint.contains("once after the CA was made") && hint.contains("alarm"), "{hint}");
    fake.show(other.server(&[SERVICE]));
    assert_eq!(by_root.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err().kind, Kind::Unreachable);
}

#[tokio::test]
async fn a_copied_certificate_without_its_key_is_no_identity() {
    let ca = TestCa::new();
    let (true_one, key) = (ca.server(&[SERVICE]), ca.server(&[SERVICE]).key);
    let leaf = pin(&true_one.chain[0]);
    let fake = Fake::tls(Identity { chain: true_one.chain, key }, service(&ca)).await;
    for trust in [Trust::Server(leaf), Trust::Root(pin(&ca.der)), Trust::Nothing] {
        assert_eq!(asked(&fake, trust).await.unwrap_err().kind, Kind::Unreachable);
    }
    assert_eq!(fake.seen(), []);
}

#[tokio::test]
async fn before_the_ca_is_made_its_server_can_be_pinned() {
    let ca = TestCa::new();
    let identity = ca.server(&["127.0.0.1"]);
    let leaf = pin(&identity.chain[0]);
    let not_yet = r#"{"error": "PKI not configured", "code": "not_initialized"}"#;
    let fake = Fake::tls(identity, move |target| match target {
        "/pki/ca/bundle" => (503, JSON, not_yet.into()),
        _ => (200, JSON, KEYS.into()),
    })
    .await;
    let error = asked(&fake, Trust::Root(pin(&ca.der))).await.unwrap_err();
    assert!(error.hint.unwrap().contains("--server-fingerprint"));
    asked(&fake, Trust::Server(leaf)).await.unwrap();
}

#[tokio::test]
async fn no_token_goes_to_another_machine_over_plain_http() {
    let there = options("http://192.0.2.1:4020".into(), Trust::Nothing);
    let error = Client::open(there).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.hint.unwrap().contains("--insecure-http"));
    let wanted = Options { insecure_http: true, ..options("http://192.0.2.1:4020".into(), Trust::Nothing) };
    Client::open(wanted).await.unwrap();
}

#[tokio::test]
async fn answers_that_are_not_the_services_name_where_they_come_from() {
    for (status, content) in [(200, "text/html"), (502, "text/html"), (404, "text/plain"), (302, "text/html")]
    {
        let error = asked_plain((status, content, "<html>Please log in</html>".into())).await;
        assert_eq!(error.kind, Kind::Unreachable, "{status}");
        assert!(
            error.message.contains("http://127.0.0.1:") && error.message.contains("/auth/keys"),
            "{error}"
        );
        assert!(error.message.contains(&status.to_string()), "{error}");
    }
    let error = asked_plain((200, JSON, r#"{"other": 1}"#.into())).await;
    assert!(error.message.contains("another form"), "{error}");
    assert_eq!(error.kind, Kind::Unreachable);
    let error = asked_plain((500, JSON, "[]".into())).await;
    assert!(error.message.contains("does not look like this service"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake = Fake::plain(|_| (302, JSON, String::new())).await;
    let client = Client::open(options(format!("http://{}", fake.address), Trust::Nothing)).await.unwrap();
    let error = client.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err();
    assert!(error.message.contains("/elsewhere"), "{error}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn refusals_have_kinds_of_their_own() {
    for (status, kind) in [
        (400, Kind::Failed),
        (401, Kind::NotAuthorised),
        (403, Kind::NotAuthorised),
        (409, Kind::Conflict),
        (422, Kind::Failed),
        (500, Kind::Failed),
        (503, Kind::Unreachable),
    ] {
        let body = r#"{"error": "a reason\u001b[31m", "code": "a_code"}"#;
        let error = asked_plain((status, JSON, body.into())).await;
        assert_eq!((error.kind, error.message.as_str()), (kind, "a reason\u{fffd}[31m"), "{status}");
    }
    // What the way is to blame for, a token is not.
    let overheard = r#"{"error": "not over plain HTTP", "code": "insecure_channel"}"#;
    let hint = asked_plain((403, JSON, overheard.into())).await.hint.unwrap();
    assert!(hint.contains("https://") && !hint.contains("token"), "{hint}");
    // Nobody is told to wait for what a person has to do.
    let hint = async |code: &str| {
        let body = format!(r#"{{"error": "nothing is issued", "code": "{code}"}}"#);
        asked_plain((503, JSON, body)).await.hint
    };
    assert!(hint("key_store_unavailable").await.unwrap().starts_with("try again in "));
    assert!(hint("recovery").await.unwrap().contains("recovery confirm --old-instance-is-gone"));
    assert_eq!(hint("store_full").await, None);
    // Also where somebody else says so.
    assert_eq!(asked_plain((503, "text/html", String::new())).await.kind, Kind::Unreachable);
}

#[tokio::test]
async fn a_closed_port_and_the_wrong_protocol_are_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::open(options(format!("http://{closed}"), Trust::Nothing)).await.unwrap();
    assert_eq!(client.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err().kind, Kind::Unreachable);
    let ca = TestCa::new();
    let plain = Fake::plain(service(&ca)).await;
    let error = asked(&plain, Trust::Root(pin(&ca.der))).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.hint.unwrap().contains("http://"));
    let tls = Fake::tls(ca.server(&[SERVICE]), service(&ca)).await;
    let client = Client::open(options(format!("http://{}", tls.address), Trust::Nothing)).await.unwrap();
    let error = client.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.hint.unwrap().contains("https://"));
}

#[tokio::test]
async fn a_port_that_speaks_https_alone_is_reached_otherwise() {
    let body = r#"{"error": "this port speaks HTTPS: use https://", "code": "https_required"}"#;
    let error = asked_plain((400, JSON, body.into())).await;
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.hint.unwrap().starts_with("use https:// or wss://"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = Client::open(options(format!("http://{address}"), Trust::Nothing)).await.unwrap();
    let error = client.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.message.contains("did not answer within"), "{error}");
    assert!(error.hint.unwrap().contains("--auth-url"));
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_says_where_to_look() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = Client::open(options(format!("http://{address}"), Trust::Nothing)).await.unwrap();
    let lost = |error: ClientError, command: &str| {
        assert!(error.message.contains("may have been done"), "{error}");
        assert!(error.hint.unwrap().contains(command));
    };
    let asked = client.post::<TokenKeys>("/pki/intermediary", &KEYS).await;
    lost(asked.unwrap_err(), "catalyst pki ca list");
    // What only reads has nothing to look for; nor has what never reached the service.
    let read = client.get::<TokenKeys>("/auth/keys", &[]).await.unwrap_err();
    assert!(!read.message.contains("may have been done"), "{read}");
    drop(silent);
    let unsent = client.post::<TokenKeys>("/pki/intermediary", &KEYS).await.unwrap_err();
    assert!(!unsent.message.contains("may have been done"), "{unsent}");

    // A proxy that gave up.
    let fake = Fake::plain(|_| (504, "text/html", "<html>".into())).await;
    let client = Client::open(options(format!("http://{}", fake.address), Trust::Nothing)).await.unwrap();
    lost(client.post::<TokenKeys>("/auth/tokens", &KEYS).await.unwrap_err(), "catalyst auth token list");
}

#[tokio::test]
async fn what_is_public_is_downloaded_without_the_token() {
    let ca = TestCa::new();
    let fake = Fake::plain(service(&ca)).await;
    let client = Client::open(options(format!("http://{}", fake.address), Trust::Nothing)).await.unwrap();
    let pem = client.download("/pki/ca/bundle", &[], "application/x-pem-file").await.unwrap();
    assert_eq!(pem, ca.pem);
    assert!(!token_was_sent(&fake));
    let error = client.download("/auth/keys", &[], "application/x-pem-file").await.unwrap_err();
    assert!(error.message.contains("does not look like this service"), "{error}");
}

#[tokio::test]
async fn a_server_that_nobody_knows_yet_cannot_fill_the_memory() {
    let ca = TestCa::new();
    let endless = "x".repeat(2 << 20);
    let fake = Fake::tls(ca.server(&[SERVICE]), move |_| (200, JSON, endless.clone())).await;
    let error = asked(&fake, Trust::Root(pin(&ca.der))).await.unwrap_err();
    assert!(error.message.contains("more than 1 MiB"), "{error}");
}

#[tokio::test]
async fn the_values_of_a_query_are_encoded() {
    let fake = Fake::plain(|_| (200, JSON, KEYS.into())).await;
    let client = Client::open(options(format!("http://{}", fake.address), Trust::Nothing)).await.unwrap();
    let query = [("san", Some("a&b=c d/ü".to_owned())), ("limit", None)];
    client.get::<TokenKeys>("/auth/tokens", &query).await.unwrap();
    assert_eq!(fake.seen()[0].target, "/auth/tokens?san=a%26b%3Dc%20d%2F%C3%BC");
}

#[test]
fn one_pin_is_enough_and_two_are_too_many() {
    let text = || Some("aa:".repeat(31) + "aa");
    let options = |ca: bool, root: bool, server: bool| TrustOptions {
        ca_file: ca.then(|| "ca.pem".into()),
        root: text().filter(|_| root),
        server: text().filter(|_| server),
    };
    assert!(matches!(Trust::from_options(options(false, true, false)), Ok(Trust::Root(_))));
    assert!(matches!(Trust::from_options(options(false, false, true)), Ok(Trust::Server(_))));
    for two in [options(true, true, false), options(false, true, true), options(true, true, true)] {
        assert_eq!(Trust::from_options(two).unwrap_err().kind, Kind::Usage);
    }
    let bad = TrustOptions { root: Some("abc".into()), ..TrustOptions::default() };
    assert!(Trust::from_options(bad).unwrap_err().hint.unwrap().contains("openssl"));
}
