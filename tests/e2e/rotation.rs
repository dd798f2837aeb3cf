//! A new token key: earlier tokens live on for a while, or die at once.

use crate::pki::{Pki, eventually, launch_in, ok, refused};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _};
use tempfile::TempDir;

fn system_token(pki: &Pki) -> String {
    fs::read_to_string(pki.service.data_dir().join("system-token")).unwrap().trim().to_owned()
}

fn kids(pki: &Pki) -> Vec<String> {
    let jwks = ok(&pki.service.http().get("/.well-known/jwks.json").unwrap());
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn tokens_of_the_key_before_are_taken_for_a_day() {
    let pki = Pki::dev();
    let earlier = pki.mint("n1", "ADMIN", &json!({"expiresIn": "30d"}));
    let brief = pki.mint("n1", "ADMIN", &json!({"expiresIn": "1h"}));
    let before = kids(&pki);
    let answer = ok(&pki.admin.request("POST", "/auth/keys/rotate", &[], b"").unwrap());
    assert_eq!(answer["previousKeyId"], json!(before[0]));
    // The one of thirty days and the system token end before their time; the one of an hour does not.
    assert_eq!(answer["tokensCutShort"], 2);
    assert!(answer["gracePeriodEndsAt"].is_string());
    assert_eq!(kids(&pki), [answer["newKeyId"].as_str().unwrap(), &before[0]]);
    for token in [&earlier, &brief, &pki.token, &system_token(&pki), &pki.mint("n2", "ADMIN", &json!({}))] {
        ok(&pki.service.http().with_token(token).get("/pki/status").unwrap());
    }
    assert_ne!(system_token(&pki), pki.token);
}

#[test]
fn at_once_means_at_once() {
    let pki = Pki::dev();
    let earlier = pki.mint("n1", "ADMIN", &json!({}));
    ok(&pki.service.http().with_token(&earlier).get("/pki/status").unwrap());
    let answer = ok(&pki.post("/auth/keys/rotate", &json!({"immediate": true})));
    assert_eq!((&answer["tokensCutShort"], &answer["gracePeriodEndsAt"]), (&json!(2), &Value::Null));
    for token in [&earlier, &pki.token] {
        refused(&pki.service.http().with_token(token).get("/pki/status").unwrap(), 401, "credential_invalid");
    }
    ok(&pki.service.http().with_token(&system_token(&pki)).get("/pki/status").unwrap());
    assert_eq!(kids(&pki), [answer["newKeyId"].as_str().unwrap()]);
    let both = json!({"immediate": true, "gracePeriodMs": 1000});
    let admin = pki.service.http().with_token(&system_token(&pki));
    refused(&admin.post("/auth/keys/rotate", &both).unwrap(), 422, "invalid_request");
    refused(&admin.post("/auth/keys/rotate", &json!({"gracePeriodMs": -1})).unwrap(), 422, "invalid_request");
}

#[test]
fn a_grace_ends_and_rotations_outlive_a_restart() {
    let home = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(home.path()));
    let earlier = pki.mint("n1", "ADMIN", &json!({}));
    ok(&pki.post("/auth/keys/rotate", &json!({"gracePeriodMs": 2000})));
    let with = |pki: &Pki, token: &str| pki.service.http().with_token(token).get("/pki/status").unwrap();
    eventually("the grace to end", || (with(&pki, &earlier).status == 401).then_some(()));
    let kept = system_token(&pki);
    pki.service.stop().unwrap();
    let again = Pki::start(launch_in(home.path())).ready();
    assert_eq!(again.token, kept);
    refused(&with(&again, &earlier), 401, "credential_invalid");
    assert_eq!(kids(&again).len(), 1);
}

#[test]
fn two_rotations_at_once_leave_one_system_token_that_works() {
    let pki = Pki::dev();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| ok(&pki.admin.request("POST", "/auth/keys/rotate", &[], b"").unwrap())))
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut new: Vec<_> = answers.iter().map(|answer| answer["newKeyId"].as_str().unwrap()).collect();
    new.sort_unstable();
    new.dedup();
    assert_eq!(new.len(), 4);
    ok(&pki.service.http().with_token(&system_token(&pki)).get("/pki/status").unwrap());
}

/// A kill between the step that records the new system token and the renaming of its file.
#[test]
fn a_system_token_that_was_recorded_and_not_published_is_found_again() {
    let home = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(home.path()));
    ok(&pki.admin.request("POST", "/auth/keys/rotate", &[], b"").unwrap());
    let (earlier, fresh) = (pki.token.clone(), system_token(&pki));
    pki.service.stop().unwrap();
    let file = home.path().join("system-token");
    fs::rename(&file, home.path().join("system-token.new")).unwrap();
    put(&file, &earlier);
    let mut again = Pki::start(launch_in(home.path())).ready();
    eventually("the token to be in its place", || (system_token(&again) == fresh).then_some(()));
    assert!(!home.path().join("system-token.new").exists());
    again.service.stop().unwrap();
    // One that was never recorded is not taken; one that dies with its key's grace is replaced.
    put(&home.path().join("system-token.new"), "no token");
    put(&file, &earlier);
    let last = Pki::start(launch_in(home.path())).ready();
    eventually("another token", || (system_token(&last) != earlier).then_some(()));
    assert_ne!(system_token(&last), fresh);
    ok(&last.service.http().with_token(&system_token(&last)).get("/pki/status").unwrap());
}

fn put(path: &std::path::Path, token: &str) {
    fs::write(path, token).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
