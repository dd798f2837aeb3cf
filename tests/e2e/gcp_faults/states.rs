//! What Cloud KMS says of versions while they still sign, and versions that somebody switches off for real.

use super::*;
use catalyst_rigs::gcp::{Alteration, Tamper, api::State};

#[test]
fn a_key_that_will_not_last_shows_before_it_bites() {
    let cloud = Cloud::new();
    cloud.shows(&Cloud::key_state(SERVICES_CA), Some(1.0));
    // That a version is disabled takes up to three hours to arrive everywhere; until then it signs.
    cloud.services(Method::GetCryptoKeyVersion, When::Always, Effect::Tamper(Tamper::State(State::Disabled)));
    let other = On { resource: Some(cloud.transport.clone()), ..calling(Method::GetCryptoKeyVersion) };
    let scheduled = Effect::Tamper(Tamper::State(State::DestroyScheduled));
    cloud.fake.add(other, When::Always, scheduled).unwrap();
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
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
}

#[test]
fn keys_that_are_switched_off_and_on_again_while_the_service_runs() {
    let cloud = Cloud::new();
    let turn = |state| {
        cloud
            .fake
            .alter(&cloud.services, &Alteration { state: Some(state), ..Alteration::default() })
            .unwrap();
    };
    for (off, command) in [
        (State::Disabled, "gcloud kms keys versions enable"),
        (State::DestroyScheduled, "gcloud kms keys versions restore"),
    ] {
        let signs = cloud.signs();
        turn(off);
        let sentence = refused(&ask(&cloud.pki, "node", "refused"), 500, "key_refused_disabled");
        assert!(sentence.contains(command) && sentence.contains(&cloud.services), "{sentence}");
        assert_eq!(cloud.status(), (1, "degraded"));
        cloud.issues("envoy/app", &format!("unharmed-{signs}"));
        assert_eq!(cloud.signs() - signs, 1);

        // An operator who asks too early is told so. What is restored is disabled at first.
        for still in [off, State::Disabled] {
            turn(still);
            let (exit, stdout, stderr) = cloud.retry();
            assert!(exit == 1 && stdout.contains(SERVICES_CA), "{stdout}{stderr}");
        }
        turn(State::Enabled);
        let (exit, stdout, stderr) = cloud.retry();
        assert_eq!(exit, 0, "{stdout}{stderr}");
        cloud.recovers();
    }
}

#[test]
fn the_token_key_that_is_switched_off_shows_like_that_of_a_ca() {
    let cloud = Cloud::with(|launch| launch.env("CATALYST_PKI_KEY_BACKEND_TOKENS", "gcp-kms"));
    cloud.shows(&Cloud::key_state("token"), Some(1.0));
    let calls = cloud.fake.calls().unwrap();
    let token = calls
        .iter()
        .find(|call| call.method == Method::AsymmetricSign && call.resource.contains("/cryptoKeys/token-1-"));
    let token = token.unwrap().resource.clone();
    let turn = |state| {
        cloud.fake.alter(&token, &Alteration { state: Some(state), ..Alteration::default() }).unwrap();
    };

    turn(State::Disabled);
    let minted = ["auth", "token", "mint", "somebody", "--principal", "USER", "--name", "somebody"];
    let (exit, _, stderr) = run(&cloud.pki.service, &minted);
    assert!(exit == 1 && stderr.contains(&token), "{exit}: {stderr}");
    cloud.shows(&Cloud::key_state("token"), Some(-2.0));
    assert_eq!(cloud.status(), (1, "degraded"));
    cloud.warned(&["token key", &token, "backend retry"]);
    cloud.issues("node", "unharmed");

    turn(State::Enabled);
    let (exit, stdout, stderr) = cloud.retry();
    assert_eq!(exit, 0, "{stdout}{stderr}");
    assert_eq!(cloud.status(), (0, "healthy"));
    cloud.shows(&Cloud::key_state("token"), Some(1.0));
    let (exit, _, stderr) = run(&cloud.pki.service, &minted);
    assert_eq!(exit, 0, "{stderr}");
}
