//! An initialization that is killed at any of its calls to Cloud KMS, and begun again: one key for each role.

use super::*;
use catalyst_rigs::{Service, gcp::Call, http::Client};
use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many lives are led at the same time.
const AT_ONCE: usize = 4;

/// Asks for the hierarchy as soon as somebody listens to an administrator, until it is there or nobody answers.
fn initialize(service: &Service) -> thread::JoinHandle<()> {
    let (file, http) = (service.data_dir().join("system-token"), service.http());
    thread::spawn(move || {
        let ask = || -> Option<u16> {
            let token = fs::read_to_string(&file).unwrap_or_default();
            let client: Client = http.clone().with_token(token.trim());
            client.post("/pki/initialize", &json!({})).ok().map(|answer| answer.status)
        };
        while ask().is_some_and(|status| status != 200) {
            thread::sleep(Duration::from_millis(20));
        }
    })
}

/// Starts the service, and kills it at its `moment`th call to Cloud KMS, or when all is done if there are not so many.
fn is_killed_at(fake: &FakeKms, data_dir: &TempDir, moment: usize, effect: &Effect) {
    fake.add(On::default(), When::Nth(moment.try_into().unwrap()), effect.clone()).unwrap();
    let mut service = launch(data_dir.path(), fake).start().unwrap();
    let asking = initialize(&service);
    let is_done = |call: &Call| *effect == Effect::Hang || call.acted || call.code.is_some();
    let has_come = || fake.calls().unwrap().get(moment - 1).is_some_and(is_done);
    while !has_come() && !asking.is_finished() {
        thread::sleep(Duration::from_millis(5));
    }
    service.kill().unwrap();
    asking.join().unwrap();
    fake.clear().unwrap();
}

/// What is there after the next start, and after the initialization if that was still to be done.
fn has_one_key_for_each_role(fake: &FakeKms, data_dir: &TempDir) {
    let pki = Pki::start(launch(data_dir.path(), fake));
    if ok(&pki.get("/pki/status"))["status"] == "uninitialized" {
        ok(&pki.post("/pki/initialize", &json!({})));
    }
    let pki = pki.ready();
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
    assert_eq!(roles(fake), ["root", "services", "token", "transport"]);
}

/// The roles of all versions of all keys in the key ring, as somebody beside the service sees them.
fn roles(fake: &FakeKms) -> Vec<String> {
    let get = |path: &str| ok(&Client::new(fake.address()).get(&format!("/v1/{path}")).unwrap());
    let keys = get(&format!("{RING}/cryptoKeys"));
    let mut roles = Vec::new();
    for key in keys["cryptoKeys"].as_array().unwrap() {
        let versions = get(&format!("{}/cryptoKeyVersions", key["name"].as_str().unwrap()));
        assert_eq!(versions["totalSize"], 1, "{versions}");
        roles.push(key["labels"]["catalyst_pki_role"].as_str().unwrap().to_owned());
    }
    roles.sort();
    roles
}

/// How many calls a start and an initialization make that nobody disturbs.
fn calls_in_peace() -> usize {
    let (fake, data_dir) = (fake(), TempDir::new().unwrap());
    let service = launch(data_dir.path(), &fake).start().unwrap();
    initialize(&service).join().unwrap();
    fake.calls().unwrap().len()
}

fn is_killed_at_every_call(effect: &Effect) {
    let (calls, next) = (calls_in_peace(), AtomicUsize::new(1));
    assert!(calls >= 16, "{calls}: a key takes four calls at least");
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let moment = next.fetch_add(1, Relaxed);
                    if moment > calls {
                        return;
                    }
                    let (fake, data_dir) = (fake(), TempDir::new().unwrap());
                    is_killed_at(&fake, &data_dir, moment, effect);
                    println!("killed at call {moment} of {calls}: {:?}", fake.calls().unwrap().last());
                    has_one_key_for_each_role(&fake, &data_dir);
                }
            });
        }
    });
}

#[test]
fn an_initialization_that_is_killed_before_any_of_its_calls_leaves_one_key_for_each_role() {
    is_killed_at_every_call(&Effect::Hang);
}

#[test]
fn an_initialization_that_is_killed_before_any_of_its_answers_leaves_one_key_for_each_role() {
    is_killed_at_every_call(&Effect::HangAfterwards);
}
