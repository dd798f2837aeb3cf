//! KMS is away when the service starts, or when the hierarchy is made.

use super::*;

#[test]
fn a_service_starts_without_kms_and_opens_its_keys_when_kms_is_back() {
    let cloud = Cloud::new();
    cloud.issues("node", "before");
    let bundle = cloud.pki.bundle();
    for fault in [Fault::Reset, Fault::Hangs, Fault::Unavailable] {
        cloud.proxy.script(When::any(), fault);
    }
    let cloud = cloud.restarted(|launch| launch);
    let answer = ask(&cloud.pki, "node", "waits");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some() && refusal(&answer).1.starts_with("key_store_"));
    for path in ["/pki/ca/bundle", "/pki/crl", "/.well-known/spiffe-bundle", "/health", "/ready"] {
        assert_eq!(cloud.pki.service.http().get(path).unwrap().status, 200, "{path}");
    }
    assert_eq!(cloud.pki.bundle(), bundle);
    assert_eq!(ok(&cloud.pki.get("/pki/status"))["status"], "degraded");
    cloud.proxy.heal();
    cloud.recovers();
    cloud.issues("envoy/app", "after");
}

#[test]
fn without_kms_tokens_are_checked_too_where_their_key_is_there() {
    let (mut pki, proxy, data_dir) = begun();
    eventually("the hierarchy", || (pki.post("/pki/initialize", &json!({})).status == 200).then_some(()));
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    proxy.script(When::any(), Fault::Unavailable);
    let pki = Pki::start(launch(data_dir.path(), &proxy));
    assert_eq!(ok(&pki.get("/pki/status"))["status"], "degraded");
    let entity = json!({"id": "n", "name": "n", "type": "service"});
    let mint = || pki.post("/auth/tokens", &json!({"subject": "n", "principal": "NODE", "entity": entity}));
    refused(&mint(), 503, "token_key_unavailable");
    let answer = ask(&pki, "node", "waits");
    assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{}", answer.text());
    proxy.heal();
    eventually("a token", || (mint().status == 200).then_some(()));
    let pki = pki.ready();
    let issued = pki.issue("node", "n1");
    verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
}

/// The service, with every key in KMS, whose token key is made before anything else.
fn begun() -> (Pki, FaultProxy, TempDir) {
    let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
    let pki = Pki::start(launch(data_dir.path(), &proxy));
    (pki, proxy, data_dir)
}

#[test]
fn an_initialization_that_kms_does_not_answer_is_taken_up_again_and_makes_each_key_once() {
    let (pki, proxy, _data_dir) = begun();
    let initialize = || pki.post("/pki/initialize", &json!({}));
    // At the root's key, then between it and the next, then after a key was made that nobody heard of.
    for (when, fault) in [
        (When::any(), Fault::Reset),
        (When::calling("CreateKey").after(1), Fault::Unavailable),
        (When::calling("CreateKey").first(1), Fault::AnswerLost),
    ] {
        proxy.script(when, fault.clone());
        let answer = initialize();
        proxy.heal();
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.status, 503, "{fault:?}: {}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{fault:?}");
        refused(&ask(&pki, "node", "too-early"), 503, "not_initialized");
    }
    eventually("the hierarchy", || (initialize().status == 200).then_some(()));
    let pki = pki.ready();
    for service_type in ["node", "envoy/app"] {
        let issued = pki.issue(service_type, "n1");
        verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
    }
    assert_eq!(keys_in(&proxy), 4, "root, services, transport, tokens");
}

#[test]
fn an_initialization_that_is_killed_is_taken_up_again_and_makes_each_key_once() {
    let (pki, proxy, data_dir) = begun();
    proxy.script(When::calling("Sign"), Fault::Hangs);
    proxy.forget_calls();
    let admin = pki.admin.clone();
    thread::scope(|scope| {
        scope.spawn(move || drop(admin.post("/pki/initialize", &json!({}))));
        eventually("a signature of the root", || (proxy.count("Sign") > 0).then_some(()));
        let mut pki = pki;
        pki.service.kill().unwrap();
    });
    proxy.heal();
    let pki = initialized(launch(data_dir.path(), &proxy));
    let issued = pki.issue("node", "n1");
    verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
    assert_eq!(keys_in(&proxy), 4, "root, services, transport, tokens");
}

fn keys_in(proxy: &FaultProxy) -> usize {
    let keys = proxy.localstack().caller(REGION).ask("ListKeys", &json!({})).unwrap();
    keys["Keys"].as_array().unwrap().len()
}
