//! Troubles that pass: asked again as long as the request has time, then 503, and nobody has to act.

use super::*;
use crate::pki::spiffe_id;
use rustix::process::Signal;

/// A request has ten seconds; pauses grow to two. So often at most is one signature asked for.
const MOST: usize = 40;

/// A trouble twice is no more than a delay.
fn delays(cloud: &Cloud, effect: Effect, outcome: &str) {
    let (signs, ended) = (cloud.signs(), cloud.ended(outcome));
    cloud.services(Method::AsymmetricSign, When::First(2), effect);
    cloud.issues("node", "patient");
    assert_eq!(cloud.signs() - signs, 3, "two failures and a signature, each of one attempt");
    assert_eq!(cloud.ended(outcome) - ended, 2.0, "{outcome}");
    cloud.heal();
}

/// A trouble that stays is 503 until it is over.
fn passes(effect: Effect, code: &str, outcome: &str) {
    let cloud = Cloud::new();
    delays(&cloud, effect.clone(), outcome);
    let (recorded, ended, signs) = (cloud.pki.recorded(), cloud.ended(outcome), cloud.signs());
    cloud.signing(effect);
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&cloud.pki, "node", "waits"));
        for number in 0..3 {
            cloud.issues("envoy/app", &format!("goes-on-{number}"));
        }
        let sentence = refused(&asked.join().unwrap(), 503, code);
        assert!(sentence.contains(&cloud.services), "{sentence}");
    });
    let asked = cloud.signs() - signs;
    assert!((3..=MOST).contains(&asked), "{asked} calls");
    assert!(cloud.ended(outcome) > ended);
    assert_eq!(cloud.pki.recorded(), recorded + 3, "those of the other CA");
    cloud.warned(&[SERVICES_CA]);
    assert_eq!(cloud.status(), (1, "degraded"));
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
    cloud.issues("envoy/app", "goes-on");

    cloud.heal();
    cloud.recovers();
}

#[test]
fn a_service_that_is_away() {
    passes(refusing(Code::Unavailable), "key_store_unavailable", "transient");
}

#[test]
fn a_quota_that_is_used_up() {
    passes(refusing(Code::ResourceExhausted), "key_store_throttled", "throttled");
}

#[test]
fn a_deadline_of_googles_own() {
    passes(refusing(Code::DeadlineExceeded), "key_store_timeout", "timeout");
}

#[test]
fn an_internal_error() {
    passes(refusing(Code::Internal), "key_store_unavailable", "transient");
}

#[test]
fn errors_that_say_nothing_of_the_key() {
    let cloud = Cloud::new();
    for code in [Code::Unknown, Code::Aborted, Code::Cancelled] {
        delays(&cloud, refusing(code), "transient");
    }
    delays(&cloud, Effect::RefuseAfterwards(Refusal::from(Code::Unavailable)), "transient");
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
}

#[test]
fn credentials_that_have_expired() {
    passes(refusing(Code::Unauthenticated), "key_store_unavailable", "transient");
}

#[test]
fn a_connection_that_is_reset() {
    passes(Effect::Reset, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_lost() {
    passes(Effect::LoseAnswer, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_cut_off() {
    passes(Effect::TruncateAnswer, "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page() {
    passes(Effect::ProxyPage(502), "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page_that_says_that_all_is_well() {
    passes(Effect::ProxyPage(200), "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page_that_forbids() {
    passes(Effect::ProxyPage(403), "key_store_unavailable", "transient");
}

#[test]
fn answers_that_never_come() {
    passes(Effect::Hang, "key_store_timeout", "timeout");
}

#[test]
fn answers_that_come_too_late() {
    passes(Effect::Slow(Duration::from_secs(4)), "key_store_timeout", "timeout");
}

#[test]
fn a_wait_that_google_names_is_kept_and_passed_on() {
    let cloud = Cloud::new();
    cloud.shows(&key_state(SERVICES_CA), Some(1.0));
    let signs = cloud.signs();
    let wait = Some(Duration::from_secs(30));
    cloud.signing(Effect::Refuse(Refusal { code: Code::ResourceExhausted, retry_delay: wait }));
    let answer = ask(&cloud.pki, "node", "waits");
    refused(&answer, 503, "key_store_throttled");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=33).contains(&wait), "{wait}");
    assert_eq!(cloud.signs() - signs, 1, "asked again before the wait was over");
    assert_eq!(cloud.metric("signing_throttled_total"), Some(1.0));
    let states = || [SERVICES_CA, TRANSPORT_CA].map(|ca| cloud.metric(&key_state(ca)));
    assert_eq!(states(), [Some(-1.0), Some(1.0)]);
    cloud.heal();
    cloud.recovers();
    assert_eq!(states(), [Some(1.0); 2]);
}

#[test]
fn a_denial_holds_at_once_and_its_crl_follows() {
    let cloud = Cloud::new();
    let pki = &cloud.pki;
    let (stolen, id) = (pki.issue("node", "stolen"), spiffe_id("node", "stolen"));
    cloud.signing(Effect::Hang);
    assert_eq!(pki.deny(&id, true)["crlPending"], true);
    refused(&ask(pki, "node", "stolen"), 403, "identity_denied");
    assert_eq!(pki.crl("services").entries(), []);
    cloud.heal();
    let serial = stolen.certificate.serial();
    eventually("the CRL", || pki.crl("services").reason_for(&serial));
    cloud.recovers();
}

#[test]
fn what_is_slow_but_answers_is_waited_for_and_delays_no_other_ca() {
    let cloud = Cloud::new();
    cloud.signing(Effect::Slow(Duration::from_millis(700)));
    let signs = cloud.signs();
    thread::scope(|scope| {
        let slow: Vec<_> = (0..8)
            .map(|number| {
                let cloud = &cloud;
                scope.spawn(move || ask(&cloud.pki, "node", &format!("slow-{number}")))
            })
            .collect();
        for number in 0..8 {
            cloud.issues("envoy/app", &format!("fast-{number}"));
        }
        for answer in slow {
            let answer = ok(&answer.join().unwrap());
            verifies(&cloud.pki.bundle(), answer["certificatePem"].as_str().unwrap());
        }
    });
    assert_eq!(cloud.signs() - signs, 8, "one call for each certificate");
}

#[test]
fn a_service_stops_while_its_key_does_not_answer_and_loses_nothing() {
    let mut cloud = Cloud::new();
    cloud.issues("node", "before");
    let (signs, recorded) = (cloud.signs(), cloud.pki.recorded());
    cloud.signing(Effect::Hang);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = crate::csr::of(&key, &[&spiffe_id("node", "waits")], &[]);
    let body = json!({"csrPem": csr, "serviceType": "node", "instanceId": "waits"});
    let admin = cloud.pki.admin.clone();
    let waiting = thread::spawn(move || admin.post("/pki/csr/sign", &body).unwrap());
    eventually("a call", || (cloud.signs() > signs).then_some(()));
    cloud.pki.service.signal(Signal::TERM).unwrap();
    let end = cloud.pki.service.wait(Duration::from_secs(30)).unwrap();
    assert_eq!(end.code(), Some(0), "{}", cloud.pki.service.log());
    refused(&waiting.join().unwrap(), 503, "key_store_timeout");

    cloud.heal();
    cloud.pki = Pki::start(launch_issuers(cloud.data_dir.path(), &cloud.fake)).ready();
    assert_eq!(cloud.pki.recorded(), recorded);
    cloud.recovers();
}
