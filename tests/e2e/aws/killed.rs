//! An initialization that is killed at any of its calls to KMS, and begun again: one key for each role.

use super::{beside, keys, launch_on};
use crate::pki::{Pki, ok};
use catalyst_rigs::{
    Service,
    aws::{Fault, FaultProxy, When},
    http::Client,
};
use serde_json::{Value, json};
use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};
use tempfile::TempDir;

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

/// Starts the service, and kills it at its `moment`th call to KMS, or when all is done if there are not so many.
fn is_killed_at(proxy: &FaultProxy, data_dir: &TempDir, moment: usize, fault: &Fault) {
    proxy.script(When::any().nth(moment), fault.clone());
    let mut service = launch_on(data_dir.path(), proxy).start().unwrap();
    let asking = initialize(&service);
    let has_come = || match fault {
        Fault::AnswerHangs => proxy.withheld() > 0,
        _ => proxy.calls().len() >= moment,
    };
    while !has_come() && !asking.is_finished() {
        thread::sleep(Duration::from_millis(1));
    }
    service.kill().unwrap();
    asking.join().unwrap();
    proxy.heal();
}

/// What is there after the next start, and after the initialization if that was still to be done.
fn has_one_key_for_each_role(proxy: &FaultProxy, data_dir: &TempDir) {
    let pki = Pki::start(launch_on(data_dir.path(), proxy));
    if ok(&pki.get("/pki/status"))["status"] == "uninitialized" {
        ok(&pki.post("/pki/initialize", &json!({})));
    }
    let pki = pki.ready();
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
    let mut roles: Vec<String> = keys(proxy).iter().map(|arn| role(proxy, arn)).collect();
    roles.sort();
    assert_eq!(roles, ["root", "services", "token", "transport"]);
}

fn role(proxy: &FaultProxy, arn: &str) -> String {
    let listed: Value = beside(proxy).ask("ListResourceTags", &json!({"KeyId": arn})).unwrap();
    let mut tags = listed["Tags"].as_array().unwrap().iter();
    let tag = tags.find(|tag| tag["TagKey"] == "catalyst-pki:role").unwrap();
    tag["TagValue"].as_str().unwrap().to_owned()
}

/// How many calls a start and an initialization make that nobody disturbs.
fn calls_in_peace() -> usize {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let service = launch_on(data_dir.path(), &proxy).start().unwrap();
    initialize(&service).join().unwrap();
    proxy.calls().len()
}

fn is_killed_at_every_call(fault: &Fault) {
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
                    let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
                    is_killed_at(&proxy, &data_dir, moment, fault);
                    println!("killed at call {moment} of {calls}: {:?}", proxy.calls().last());
                    has_one_key_for_each_role(&proxy, &data_dir);
                }
            });
        }
    });
}

#[test]
fn an_initialization_that_is_killed_before_any_of_its_calls_leaves_one_key_for_each_role() {
    is_killed_at_every_call(&Fault::Hangs);
}

#[test]
fn an_initialization_that_is_killed_before_any_of_its_answers_leaves_one_key_for_each_role() {
    is_killed_at_every_call(&Fault::AnswerHangs);
}
