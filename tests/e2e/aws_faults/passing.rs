//! Troubles that pass: asked again as long as the request has time, then 503, and nobody has to act.

use super::*;
use crate::pki::spiffe_id;

/// A request has ten seconds; pauses grow to two. So often at most is one signature asked for.
const MOST: usize = 40;

/// A trouble twice is no more than a delay; one that stays is 503 until it is over.
fn passes(fault: Fault, code: &str, outcome: &str) {
    let cloud = Cloud::new();
    cloud.proxy.script(cloud.services("Sign").first(2), fault.clone());
    cloud.proxy.forget_calls();
    cloud.issues("node", "patient");
    assert_eq!(cloud.signs(&cloud.services), 3, "two failures and a signature");

    let (recorded, ended) = (cloud.pki.recorded(), cloud.ended("sign", outcome));
    assert_eq!(ended, 2.0, "{}", cloud.pki.service.http().get("/metrics").unwrap().text());
    cloud.signing(fault);
    cloud.proxy.forget_calls();
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&cloud.pki, "node", "waits"));
        for number in 0..3 {
            cloud.issues("envoy/app", &format!("goes-on-{number}"));
        }
        let sentence = refused(&asked.join().unwrap(), 503, code);
        assert!(sentence.contains(cloud.services.trim_start_matches("awskms:")), "{sentence}");
    });
    let asked = cloud.signs(&cloud.services);
    assert!((3..=MOST).contains(&asked), "{asked} calls");
    assert!(cloud.ended("sign", outcome) > ended);
    assert_eq!(cloud.pki.recorded(), recorded + 3, "those of the other CA");
    cloud.warned(&[SERVICES_CA]);
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
    cloud.issues("envoy/app", "goes-on");

    cloud.proxy.heal();
    cloud.recovers();
}

#[test]
fn throttling() {
    passes(Fault::Throttled(None), "key_store_throttled", "throttled");
}

#[test]
fn an_internal_error() {
    passes(Fault::Internal, "key_store_unavailable", "transient");
}

#[test]
fn a_load_balancer_without_a_server() {
    passes(Fault::Unavailable, "key_store_unavailable", "transient");
}

#[test]
fn a_connection_that_is_reset() {
    passes(Fault::Reset, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_lost() {
    passes(Fault::AnswerLost, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_cut_off() {
    passes(Fault::Truncated, "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page() {
    passes(Fault::Page, "key_store_unavailable", "transient");
}

#[test]
fn credentials_that_have_expired() {
    passes(Fault::ExpiredCredentials, "key_store_unavailable", "transient");
}

#[test]
fn a_clock_that_is_wrong() {
    passes(Fault::ClockSkew(Duration::from_secs(3600)), "key_store_unavailable", "transient");
}

#[test]
fn answers_that_never_come() {
    passes(Fault::Hangs, "key_store_timeout", "timeout");
}

#[test]
fn answers_that_come_too_late() {
    passes(Fault::Slow(Duration::from_secs(4)), "key_store_timeout", "timeout");
}

#[test]
fn a_wait_that_kms_names_is_kept_and_passed_on() {
    let cloud = Cloud::new();
    cloud.shows(&key_state(SERVICES_CA), Some(1.0));
    cloud.signing(Fault::Throttled(Some(30)));
    cloud.proxy.forget_calls();
    let answer = ask(&cloud.pki, "node", "waits");
    refused(&answer, 503, "key_store_throttled");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=33).contains(&wait), "{wait}");
    assert_eq!(cloud.signs(&cloud.services), 1, "asked again before the wait was over");
    assert_eq!(cloud.metric("signing_throttled_total"), Some(1.0));
    let states = || [SERVICES_CA, TRANSPORT_CA].map(|ca| cloud.metric(&key_state(ca)));
    assert_eq!(states(), [Some(-1.0), Some(1.0)]);
    cloud.proxy.heal();
    cloud.recovers();
    assert_eq!(states(), [Some(1.0); 2]);
}

#[test]
fn a_denial_holds_at_once_and_its_crl_follows() {
    let cloud = Cloud::new();
    let pki = &cloud.pki;
    let (stolen, id) = (pki.issue("node", "stolen"), spiffe_id("node", "stolen"));
    cloud.signing(Fault::Hangs);
    assert_eq!(pki.deny(&id, true)["crlPending"], true);
    refused(&ask(pki, "node", "stolen"), 403, "identity_denied");
    assert_eq!(pki.crl("services").entries(), []);
    cloud.proxy.heal();
    let serial = stolen.certificate.serial();
    eventually("the CRL", || pki.crl("services").reason_for(&serial));
    cloud.recovers();
}

#[test]
fn what_is_slow_but_answers_is_waited_for_and_delays_no_other_ca() {
    let cloud = Cloud::new();
    cloud.signing(Fault::Slow(Duration::from_millis(700)));
    cloud.proxy.forget_calls();
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
    assert_eq!(cloud.signs(&cloud.services), 8, "one call for each certificate");
}

#[test]
fn a_key_that_kms_does_not_show_everywhere_yet_is_waited_for() {
    let cloud = Cloud::new();
    let rule = cloud.signing(Fault::NotFound);
    let sentence = refused(&ask(&cloud.pki, "node", "waits"), 503, "key_store_unavailable");
    assert!(sentence.contains("is new, and AWS KMS does not show it everywhere yet"), "{sentence}");
    cloud.proxy.lift(rule);
    cloud.recovers();

    // The whole hierarchy, where every new key is hidden from so many calls that would show it.
    let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
    proxy.hide_new_keys(Some(5));
    let pki = initialized(launch(data_dir.path(), &proxy));
    let issued = pki.issue("node", "n1");
    verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
    assert_eq!(proxy.count("CreateKey"), 4, "root, services, transport, tokens");
}
