//! Keys that were on the token before the service was.

use super::{directory_of, key_uris, launch_on, private_keys, refusal, warned};
use crate::pki::{Pki, ok};
use catalyst_rigs::{
    Launch,
    checkers::openssl,
    pkcs11::{SoftHsm, TestToken},
};
use serde_json::json;
use std::{fs, process::Command};
use tempfile::TempDir;

const SERVICES: &str = "CATALYST_PKI_PKCS11_KEY_SERVICES";
const TRANSPORT: &str = "CATALYST_PKI_PKCS11_KEY_TRANSPORT";

/// Brings a new P-384 key into a token of SoftHSM, as its own program does.
fn import(token: &TestToken, label: &str, id: &str) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("key.pem");
    let file = file.to_str().unwrap();
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", file]).unwrap();
    let mut command = Command::new("softhsm2-util");
    command.args([
        "--import",
        file,
        "--token",
        &token.label,
        "--label",
        label,
        "--id",
        id,
        "--pin",
        &token.pin,
    ]);
    let output = command.envs(token.environment.iter().cloned()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Changes the one private key on a token of SoftHSM into one that may leave it, as it lies in its file:
/// CKA_EXTRACTABLE (0x162) of kind 1, a truth value.
fn make_extractable(token: &TestToken) {
    let attribute: Vec<u8> = [0x162, 1].into_iter().flat_map(u64::to_be_bytes).collect();
    let mut changed = 0;
    for entry in fs::read_dir(directory_of(token)).unwrap() {
        let path = entry.unwrap().path();
        let mut object = fs::read(&path).unwrap();
        let at = object.windows(attribute.len()).position(|window| window == attribute);
        let Some(value) = at.map(|at| at + attribute.len()) else { continue };
        assert_eq!(object[value], 0, "softhsm2-util imports keys that stay");
        object[value] = 0xff;
        fs::write(&path, object).unwrap();
        changed += 1;
    }
    assert_eq!(changed, 1);
}

#[test]
fn existing_keys_are_named_by_label_and_by_uri() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    import(&token, "our services key", "0a0b");
    import(&token, "our transport key", "0c0d");
    let data_dir = TempDir::new().unwrap();
    let launch = || {
        launch_on(data_dir.path(), &token).env(SERVICES, "our services key").env(
            TRANSPORT,
            &format!("pkcs11:token={};object=our%20transport%20key;type=private", token.label),
        )
    };
    let mut pki = Pki::initialized(launch());
    let uris = key_uris(&pki);
    assert!(uris[1].ends_with(";id=%0A%0B") || uris[1].ends_with(";id=%0a%0b"), "{uris:?}");
    assert!(uris[2].ends_with(";id=%0C%0D") || uris[2].ends_with(";id=%0c%0d"), "{uris:?}");
    assert_eq!(private_keys(&token), 4, "two that were there, the root's and the one that signs tokens");
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert_eq!(ok(&pki.get("/pki/status"))["warnings"], json!([]));
    assert!(pki.service.stop().unwrap().success());

    // The settings change later, one to a key that is not there: the pins rule, and status says so.
    let mut later = Pki::start(launch().env(SERVICES, "another key")).ready();
    assert_eq!(key_uris(&later), uris);
    assert!(warned(&later, &format!("{SERVICES} names another key, the services CA's key is {}", uris[1])));
    later.issue("node", "n2");
    // By their addresses they are the same keys.
    assert!(later.service.stop().unwrap().success());
    let last = Pki::start(launch().env(SERVICES, &uris[1])).ready();
    assert_eq!(ok(&last.get("/pki/status"))["warnings"], json!([]));
}

#[test]
fn one_key_for_two_cas_and_a_key_that_is_not_there_leave_nothing_behind() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    import(&token, "one key", "0a");
    let data_dir = TempDir::new().unwrap();
    let launch = |services: &str| {
        let uri = format!("pkcs11:token={};id=%0a", token.label);
        launch_on(data_dir.path(), &token).env(SERVICES, services).env(TRANSPORT, &uri)
    };
    let mut pki = Pki::start(launch("one key"));
    let (status, code, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
    assert_eq!((status, code.as_str()), (409, "conflict"), "{sentence}");
    assert!(sentence.contains(SERVICES) && sentence.contains(TRANSPORT), "{sentence}");
    assert!(pki.service.stop().unwrap().success());
    let mut pki = Pki::start(launch("no such key"));
    let (_, _, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
    assert!(sentence.contains("no such key") && sentence.contains("names no private key"), "{sentence}");
    assert_eq!(private_keys(&token), 2, "the one that was there, and the one that signs tokens");
    assert!(pki.service.stop().unwrap().success());
    import(&token, "no such key", "0b");
    Pki::initialized(launch("no such key")).issue("node", "n1");
}

#[test]
fn an_extractable_key_is_taken_only_where_that_is_said_and_never_in_silence() {
    const REQUIRE: &str = "CATALYST_PKI_PKCS11_REQUIRE_SENSITIVE";
    let token = SoftHsm::new().unwrap().token().unwrap();
    import(&token, "from elsewhere", "0e");
    make_extractable(&token);
    let data_dir = TempDir::new().unwrap();
    let launch = || -> Launch { launch_on(data_dir.path(), &token).env(SERVICES, "from elsewhere") };
    let mut pki = Pki::start(launch());
    let (_, _, sentence) = refusal(&pki.post("/pki/initialize", &json!({})));
    assert!(sentence.contains("CKA_EXTRACTABLE is true") && sentence.contains(REQUIRE), "{sentence}");
    assert!(pki.service.stop().unwrap().success());

    let launch = || launch().env(REQUIRE, "false");
    let mut pki = Pki::initialized(launch());
    let says = |pki: &Pki| warned(pki, "Catalyst Services CA: ") && warned(pki, "may leave the token");
    assert!(says(&pki), "{:?}", super::warnings(&pki));
    pki.issue("node", "n1");
    assert!(pki.service.stop().unwrap().success());
    let again = Pki::start(launch()).ready();
    again.issue("node", "n2");
    assert!(says(&again), "{:?}", super::warnings(&again));
}
