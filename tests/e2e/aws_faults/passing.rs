//! Troubles that pass: asked again as long as the request has time, then 503, and nobody has to act.

use super::*;
use crate::cloud_faults::{
    a_burst_stays_within_the_rate, a_denial_holds_at_once, a_named_wait_is_kept, passes,
    slowness_is_waited_for,
};

#[test]
fn throttling() {
    passes::<Cloud>(Fault::Throttled(None), "key_store_throttled", "throttled");
}

#[test]
fn an_internal_error() {
    passes::<Cloud>(Fault::Internal, "key_store_unavailable", "transient");
}

#[test]
fn a_load_balancer_without_a_server() {
    passes::<Cloud>(Fault::Unavailable, "key_store_unavailable", "transient");
}

#[test]
fn a_connection_that_is_reset() {
    passes::<Cloud>(Fault::Reset, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_lost() {
    passes::<Cloud>(Fault::AnswerLost, "key_store_unavailable", "transient");
}

#[test]
fn an_answer_that_is_cut_off() {
    passes::<Cloud>(Fault::Truncated, "key_store_unavailable", "transient");
}

#[test]
fn a_proxys_page() {
    passes::<Cloud>(Fault::Page, "key_store_unavailable", "transient");
}

#[test]
fn credentials_that_have_expired() {
    passes::<Cloud>(Fault::ExpiredCredentials, "key_store_unavailable", "transient");
}

#[test]
fn a_clock_that_is_wrong() {
    passes::<Cloud>(Fault::ClockSkew(Duration::from_secs(3600)), "key_store_unavailable", "transient");
}

#[test]
fn answers_that_never_come() {
    passes::<Cloud>(Fault::Hangs, "key_store_timeout", "timeout");
}

#[test]
fn answers_that_come_too_late() {
    passes::<Cloud>(Fault::Slow(Duration::from_secs(4)), "key_store_timeout", "timeout");
}

#[test]
fn a_wait_that_kms_names_is_kept_and_passed_on() {
    a_named_wait_is_kept::<Cloud>(Fault::Throttled(Some(30)));
}

#[test]
fn a_denial_holds_at_once_and_its_crl_follows() {
    a_denial_holds_at_once::<Cloud>(Fault::Hangs);
}

#[test]
fn what_is_slow_but_answers_is_waited_for_and_delays_no_other_ca() {
    slowness_is_waited_for::<Cloud>(Fault::Slow(Duration::from_millis(700)));
}

#[test]
fn a_burst_stays_within_the_rate_and_leaves_crls_their_share() {
    a_burst_stays_within_the_rate::<Cloud>();
}

#[test]
fn a_key_that_kms_does_not_show_everywhere_yet_is_waited_for() {
    let cloud = Cloud::new();
    let rule = cloud.proxy.script(cloud.services("Sign"), Fault::NotFound);
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
