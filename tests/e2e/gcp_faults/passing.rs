//! Troubles that pass: asked again as long as the request has time, then 503, and nobody has to act.

use super::*;
use crate::cloud_faults::{
    a_burst_stays_within_the_rate, a_denial_holds_at_once, a_named_wait_is_kept, delays, passes,
    slowness_is_waited_for,
};
use crate::pki::spiffe_id;
use rustix::process::Signal;

#[test]
fn a_service_that_is_away() {
    passes::<Cloud>(refusing(Code::Unavailable), "key_store_unavailable", "transient");
}

#[test]
fn a_quota_that_is_used_up() {
    passes::<Cloud>(refusing(Code::ResourceExhausted), "key_store_throttled", "throttled");
}

#[test]
fn a_deadline_of_googles_own() {
    passes::<Cloud>(refusing(Code::DeadlineExceeded), "key_store_timeout", "timeout");
}

#[test]
fn an_internal_error() {
    passes::<Cloud>(refusing(Code::Internal), "key_store_unavailable", "transient");
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
    passes::<Cloud>(refusing(Code::Unauthenticated), "key_store_unavailable", "transient");
}

#[test]
fn a_connection_that_is_reset() {
    passes::<Cloud>(Effect::Reset, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_lost() {
    passes::<Cloud>(Effect::LoseAnswer, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_cut_off() {
    passes::<Cloud>(Effect::TruncateAnswer, "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page() {
    passes::<Cloud>(Effect::ProxyPage(502), "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page_that_says_that_all_is_well() {
    passes::<Cloud>(Effect::ProxyPage(200), "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page_that_forbids() {
    passes::<Cloud>(Effect::ProxyPage(403), "key_store_unavailable", "transient");
}

#[test]
fn answers_that_never_come() {
    passes::<Cloud>(Effect::Hang, "key_store_timeout", "timeout");
}

#[test]
fn answers_that_come_too_late() {
    passes::<Cloud>(Effect::Slow(Duration::from_secs(4)), "key_store_timeout", "timeout");
}

#[test]
fn a_wait_that_google_names_is_kept_and_passed_on() {
    a_named_wait_is_kept::<Cloud>(Effect::Refuse(Refusal {
        code: Code::ResourceExhausted,
        retry_delay: Some(Duration::from_secs(30)),
    }));
}

#[test]
fn a_denial_holds_at_once_and_its_crl_follows() {
    a_denial_holds_at_once::<Cloud>(Effect::Hang);
}

#[test]
fn what_is_slow_but_answers_is_waited_for_and_delays_no_other_ca() {
    slowness_is_waited_for::<Cloud>(Effect::Slow(Duration::from_millis(700)));
}

#[test]
fn a_burst_stays_within_the_rate_and_leaves_crls_their_share() {
    a_burst_stays_within_the_rate::<Cloud>();
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
