//! Cloud KMS is away when the service starts, or when the hierarchy is made.

use super::*;

#[test]
fn a_service_starts_without_kms_and_opens_its_keys_when_kms_is_back() {
    let mut cloud = Cloud::new();
    cloud.issues("node", "before");
    let bundle = cloud.pki.bundle();
    for effect in [Effect::Reset, Effect::Hang, refusing(Code::Unavailable), Effect::ProxyPage(502)] {
        cloud.fake.add(On::default(), When::Always, effect.clone()).unwrap();
        cloud = cloud.restarted(|launch| launch);
        let answer = ask(&cloud.pki, "node", "waits");
        assert_eq!(answer.status, 503, "{effect:?}: {}", answer.text());
        let code = refusal(&answer).1;
        assert!(
            answer.header("retry-after").is_some() && code.starts_with("key_store_"),
            "{effect:?}: {code}"
        );
        for path in ["/pki/ca/bundle", "/pki/crl", "/.well-known/spiffe-bundle", "/health", "/ready"] {
            assert_eq!(cloud.pki.service.http().get(path).unwrap().status, 200, "{effect:?}: {path}");
        }
        assert_eq!(cloud.pki.bundle(), bundle);
        assert_eq!(cloud.status(), (1, "degraded"), "{effect:?}");
        cloud.heal();
        cloud.recovers();
        eventually("the other CA", || (ask(&cloud.pki, "envoy/app", "after").status == 200).then_some(()));
    }
}

#[test]
fn without_kms_tokens_are_checked_too_where_their_key_is_there() {
    let (fake, data_dir) = (fake(), TempDir::new().unwrap());
    let mut pki = initialized(launch(data_dir.path(), &fake));
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    fake.add(On::default(), When::Always, refusing(Code::Unavailable)).unwrap();
    let pki = Pki::start(launch(data_dir.path(), &fake));
    assert_eq!(ok(&pki.get("/pki/status"))["status"], "degraded");
    let entity = json!({"id": "n", "name": "n", "type": "service"});
    let mint = || pki.post("/auth/tokens", &json!({"subject": "n", "principal": "NODE", "entity": entity}));
    refused(&mint(), 503, "token_key_unavailable");
    let answer = ask(&pki, "node", "waits");
    assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{}", answer.text());
    fake.clear().unwrap();
    eventually("a token", || (mint().status == 200).then_some(()));
    let pki = pki.ready();
    let issued = pki.issue("node", "n1");
    verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
}

/// The service, with every key in Cloud KMS and none made but that of tokens.
fn begun() -> (Pki, FakeKms, TempDir) {
    let (fake, data_dir) = (fake(), TempDir::new().unwrap());
    let pki = Pki::start(launch(data_dir.path(), &fake));
    (pki, fake, data_dir)
}

/// How many CryptoKeys there are, whatever was asked for.
fn keys(fake: &FakeKms) -> usize {
    let made = |call: &&catalyst_rigs::gcp::Call| call.method == Method::CreateCryptoKey && call.acted;
    fake.calls().unwrap().iter().filter(made).count()
}

#[test]
fn an_initialization_that_kms_does_not_answer_is_taken_up_again_and_makes_each_key_once() {
    let (pki, fake, _data_dir) = begun();
    let initialize = || pki.post("/pki/initialize", &json!({}));
    // At the root's key, then between it and the next, then after a key was made that nobody heard of.
    let creating = || calling(Method::CreateCryptoKey);
    for (on, when, effect) in [
        (On::default(), When::Always, Effect::Reset),
        (creating(), When::Nth(2), refusing(Code::Unavailable)),
        (creating(), When::Nth(1), Effect::LoseAnswer),
        (creating(), When::Nth(1), Effect::RefuseAfterwards(Refusal::from(Code::Internal))),
        (creating(), When::Nth(1), Effect::HangAfterwards),
    ] {
        fake.add(on, when, effect.clone()).unwrap();
        let answer = initialize();
        fake.clear().unwrap();
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.status, 503, "{effect:?}: {}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{effect:?}");
        refused(&ask(&pki, "node", "too-early"), 503, "not_initialized");
    }
    eventually("the hierarchy", || (initialize().status == 200).then_some(()));
    let pki = pki.ready();
    for service_type in ["node", "envoy/app"] {
        let issued = pki.issue(service_type, "n1");
        verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
    }
    assert_eq!(keys(&fake), 4, "root, services, transport, tokens");
    assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
}

#[test]
fn a_new_key_that_is_long_in_the_making_or_not_yet_to_be_seen_is_waited_for() {
    use catalyst_rigs::gcp::{Generation, Settings};
    let (pki, fake, _data_dir) = begun();
    let initialize = || pki.post("/pki/initialize", &json!({}));
    fake.set(&Settings { generation: Generation::Held, ..Settings::default() }).unwrap();
    let answer = initialize();
    assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{}", answer.text());
    assert_eq!(keys(&fake), 2, "root, tokens");
    fake.set(&Settings { generation: Generation::AfterCalls(3), invisible_for: 2, ..Settings::default() })
        .unwrap();
    eventually("the hierarchy", || (initialize().status == 200).then_some(()));
    pki.ready().issue("node", "n1");
    assert_eq!(keys(&fake), 4, "root, services, transport, tokens");
}
