//! What depends on how a request came, which no test over loopback can show.

use super::{
    super::{app::Places, peer::Channel},
    *,
};
use crate::{
    access::{Access, Config, Policies},
    authority::{self, Authority},
    identity::{ServiceType, SystemClock, Workload},
    store::{SqliteStore, Store},
    telemetry::Metrics,
};
use axum::body::Body;
use catalyst_local::EphemeralBackend;
use catalyst_signing::{Guard, KeyStores, NoObserver, SigningBackend};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use std::sync::Arc;

/// The secret of its administrator.
pub(in crate::server) const SYSTEM: &str = "a secret of more than thirty-two characters";

pub(in crate::server) async fn app() -> App {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let backend: Arc<dyn SigningBackend> = Arc::new(EphemeralBackend::default());
    let key_stores = KeyStores::new(Guard::new(Arc::new(NoObserver)), [("local".to_owned(), backend)]);
    let authority = Authority::open(
        authority::Config::new("example.org".parse().unwrap()),
        store.clone(),
        Arc::new(key_stores),
        Arc::new(SystemClock),
        Arc::new(authority::NoObserver),
    )
    .await
    .unwrap();
    let own = Workload::new(authority.trust_domain(), ServiceType::Auth, "auth-1".parse().unwrap()).unwrap();
    let config = Config { own, domains: Vec::new(), dev: false, bootstrap_ttl: Duration::from_secs(60) };
    let mut access = Access::new(config, store, Arc::new(SystemClock), Policies::built_in().unwrap());
    access.preset_system_token(&SYSTEM.into()).await.unwrap();
    access.open(authority.token_key().await.unwrap()).await.unwrap();
    App::new(authority, access, Metrics::new().unwrap(), None, Places::default())
}

/// The status and code of the answer to a request that came from there.
async fn ask(router: &Router, method: &str, path: &str, peer: Option<Peer>) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let answer = TowerToHyperService::new(router.clone()).call(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

fn peer(address: &str, channel: Channel) -> Option<Peer> {
    Some(Peer { address: address.parse().unwrap(), channel })
}

fn tls() -> Channel {
    Channel::Tls { certificate: None }
}

const ELSEWHERE: [&str; 4] =
    ["192.0.2.1:4711", "[2001:db8::1]:4711", "[::ffff:192.0.2.1]:4711", "10.0.0.1:1"];
const HERE: [&str; 4] = ["127.0.0.1:4711", "127.8.9.10:4711", "[::1]:4711", "[::ffff:127.0.0.1]:4711"];

#[tokio::test]
async fn secrets_are_neither_asked_for_nor_answered_where_they_can_be_read_on_the_way() {
    let router = all(app().await);
    let refused = |status: u16, code: &str| (status, code.to_owned());
    for (method, path) in [
        ("POST", "/pki/initialize"),
        ("POST", "/pki/keypair"),
        ("POST", "/auth/tokens"),
        ("POST", "/auth/keys/rotate"),
    ] {
        for address in ELSEWHERE {
            // Before anybody looks at a credential.
            let plain = ask(&router, method, path, peer(address, Channel::Plain)).await;
            assert_eq!(plain, refused(403, "insecure_channel"), "{path} from {address}");
            let over_tls = ask(&router, method, path, peer(address, tls())).await;
            assert_eq!(over_tls, refused(401, "credential_missing"), "{path} from {address}");
        }
        for address in HERE {
            let plain = ask(&router, method, path, peer(address, Channel::Plain)).await;
            assert_eq!(plain, refused(401, "credential_missing"), "{path} from {address}");
        }
    }
    // What is neither secret nor asks for secrets the operator may allow: `--insecure-http`.
    for (method, path) in [("GET", "/pki/status"), ("GET", "/auth/tokens"), ("POST", "/pki/csr/sign")] {
        let plain = ask(&router, method, path, peer(ELSEWHERE[0], Channel::Plain)).await;
        assert_eq!(plain, refused(401, "credential_missing"), "{path}");
    }
    assert_eq!(ask(&router, "GET", "/health", peer(ELSEWHERE[0], Channel::Plain)).await.0, 200);
}

#[tokio::test]
async fn a_request_that_comes_from_nowhere_is_not_served() {
    let router = all(app().await);
    let (status, code) = ask(&router, "GET", "/pki/status", None).await;
    assert_eq!((status, code.as_str()), (500, "internal_error"));
}

#[tokio::test]
async fn an_answer_without_a_decision_is_held_back() {
    let app = app().await;
    // Whoever asks is known, and the handler asks no policy: as an endpoint would whose author forgot to.
    let asker = || {
        let facts = crate::access::Facts {
            kind: crate::access::PrincipalKind::Admin,
            cedar_id: "a".to_owned(),
            sub: "a".to_owned(),
            id: "a".to_owned(),
            name: "a".to_owned(),
            entity_type: "user".to_owned(),
            node_id: None,
            spiffe_id: None,
            trusted_nodes: Vec::new(),
            trusted_domains: Vec::new(),
        };
        let credential = crate::access::Credential::Token { expires: None, is_bound: false };
        let caller = crate::access::Caller {
            actor: crate::identity::Actor::System,
            facts: Arc::new(facts),
            credential,
        };
        Asker::new(app.clone(), caller, endpoint("GET", "/pki/status").unwrap())
    };
    let answered = |asker: &Asker, status: StatusCode| consented(asker, status.into_response());
    assert_eq!(answered(&asker(), StatusCode::OK).status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answered(&asker(), StatusCode::NOT_FOUND).status(), StatusCode::NOT_FOUND);
    let asked = asker();
    asked.may_all().unwrap();
    assert_eq!(answered(&asked, StatusCode::OK).status(), StatusCode::OK);
}
