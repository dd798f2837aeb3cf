//! What KMS says of keys while they still sign, and keys that somebody switches off for real.

use super::*;
use catalyst_rigs::aws::Says;

#[test]
fn a_key_that_will_not_last_shows_before_it_bites() {
    let cloud = Cloud::new();
    cloud.shows(&Cloud::key_state(SERVICES_CA), Some(1.0));
    cloud.proxy.script(cloud.services("DescribeKey"), Fault::Says(Says::Disabled));
    let other = When::calling("DescribeKey").of_key(&cloud.transport);
    cloud.proxy.script(other, Fault::Says(Says::PendingDeletion));
    cloud.shows(&Cloud::key_state(SERVICES_CA), Some(-3.0));
    cloud.shows(&Cloud::key_state(TRANSPORT_CA), Some(-4.0));
    cloud.warned(&[SERVICES_CA, &cloud.services, "disabled in its key store"]);
    cloud.warned(&[TRANSPORT_CA, &cloud.transport, "will be destroyed by its key store"]);
    for (key, word) in [(&cloud.services, "disabled"), (&cloud.transport, "destroyed")] {
        let line = cloud.pki.logged("A key store speaks against a key", key);
        assert!(line.raw.contains(word), "{}", line.raw);
    }
    cloud.issues("node", "still");
    cloud.issues("envoy/app", "still");
}

#[test]
fn keys_that_are_switched_off_and_on_again_while_the_service_runs() {
    let cloud = Cloud::new();
    let aws = cloud.proxy.localstack().caller(REGION);
    let key = json!({"KeyId": cloud.services.rsplit('/').next().unwrap()});
    for (off, on) in
        [("DisableKey", &["EnableKey"][..]), ("ScheduleKeyDeletion", &["CancelKeyDeletion", "EnableKey"][..])]
    {
        aws.ask(off, &key).unwrap();
        cloud.proxy.forget_calls();
        let sentence = refused(&ask(&cloud.pki, "node", "refused"), 500, "key_refused_disabled");
        let command = if on.len() == 1 { "aws kms enable-key" } else { "aws kms cancel-key-deletion" };
        assert!(sentence.contains(command), "{sentence}");
        cloud.issues("envoy/app", &format!("unharmed-{}", on.len()));
        assert_eq!(cloud.signs(), 1);

        // An operator who asks too early is told so.
        let (exit, stdout, stderr) = cloud.retry();
        assert!(exit == 1 && stdout.contains(SERVICES_CA), "{stdout}{stderr}");
        on.iter().for_each(|operation| drop(aws.ask(operation, &key).unwrap()));
        let (exit, stdout, stderr) = cloud.retry();
        assert_eq!(exit, 0, "{stdout}{stderr}");
        cloud.recovers();
    }
}
