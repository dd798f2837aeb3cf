//! Starts that fail and what they say, and starts that succeed while something is still missing.

use crate::deployment::{Deployment, PASSPHRASE, exit, until};
use catalyst_rigs::{Service, http::Client};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};

const PRESET: &str = "a-preset-system-token-of-more-than-32-characters";

#[test]
fn a_port_in_use_ends_the_start_and_says_which_setting_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for variable in ["CATALYST_PKI_LISTEN", "CATALYST_PKI_PUBLIC_LISTEN"] {
        let (code, log) = exit(Deployment::dev().launch().env(variable, &address));
        assert_eq!(code, 1, "{log}");
        assert!(log.contains(&address) && log.contains("Address already in use"), "{log}");
        assert!(log.contains(variable), "{log}");
    }
}

#[test]
fn wrong_settings_end_the_start_before_anything_is_written() {
    let refused = |variable: &str, value: &str, hint: &str| {
        let deployment = Deployment::production();
        let (code, log) = exit(deployment.launch().env(variable, value));
        assert_eq!(code, 2, "{variable}: {log}");
        assert!(log.contains(hint), "{variable}: {log}");
        assert!(value.len() < 8 || !log.contains(value), "the value of {variable} is shown: {log}");
        assert_eq!(fs::read_dir(deployment.data_dir()).unwrap().count(), 0, "{variable}");
    };
    refused("CATALYST_PKI_SVID_TLT", "60", "did you mean CATALYST_PKI_SVID_TTL?");
    refused("CATALYST_SYSTEM_TOKEN", "only-23-characters-long", "CATALYST_SYSTEM_TOKEN has fewer than 32");
    refused("CATALYST_PKI_ISSUE_LIMIT", "-1", "CATALYST_PKI_ISSUE_LIMIT is '-1' (env)");
    refused("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE, "_FILE are both given");
}

#[test]
fn a_passphrase_that_lies_beside_the_keys_is_refused() {
    let deployment = Deployment::production();
    let inside = deployment.data_dir().join("passphrase");
    fs::write(&inside, PASSPHRASE).unwrap();
    let path = inside.to_str().unwrap();
    let (code, log) = exit(deployment.launch().env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", path));
    assert_eq!(code, 2, "{log}");
    assert!(log.contains(path) && log.contains("keep it elsewhere"), "{log}");
}

#[test]
fn another_trust_domain_than_the_stored_one_ends_the_start_and_both_are_named() {
    let deployment = Deployment::dev();
    let (mut service, _client) = deployment.initialized();
    service.stop().unwrap();
    let (code, log) = exit(deployment.launch().env("CATALYST_PKI_TRUST_DOMAIN", "other.example.org"));
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("'catalyst.example.com'") && log.contains("'other.example.org'"), "{log}");
    drop(deployment.initialized());
}

/// A key file that is a pipe nobody writes to: a key store that does not answer.
fn without_an_answer(path: &Path) {
    fs::remove_file(path).unwrap();
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn bundle_crl_and_health_are_answered_before_any_key_is_open() {
    let deployment = Deployment::dev();
    let (mut service, _client) = deployment.initialized();
    service.stop().unwrap();
    for key in ["services-1", "transport-1", "token-1"] {
        without_an_answer(&deployment.key_file(key));
    }
    let mut service = deployment.start();
    let client = service.http();
    let status = |path: &str| client.get(path).unwrap().status;
    assert_eq!((status("/health"), status("/pki/ca/bundle")), (200, 200));
    assert_eq!((status("/pki/crl"), status("/.well-known/spiffe-bundle")), (200, 200));
    let ready = client.get("/ready").unwrap();
    assert_eq!(ready.status, 200);
    let signing = ready.json().unwrap()["signing"].as_str().unwrap().to_owned();
    assert!(signing.contains("has not answered yet"), "{signing}");
    // What tokens verify under is public, and known without the key store.
    assert_eq!(status("/.well-known/jwks.json"), 200);
    // Nor does a key store that does not answer hold up the end.
    assert_eq!(service.stop().unwrap().code(), Some(0), "{}", service.log());
}

fn shown_tokens(service: &Service) -> usize {
    service.log_lines().iter().filter(|line| line.message.starts_with("System Admin Token: ")).count()
}

#[test]
fn the_system_token_is_made_once_and_shown_when_it_is_made() {
    let deployment = Deployment::production();
    let (mut service, _client) = deployment.initialized();
    let token = deployment.token().unwrap();
    assert_eq!(shown_tokens(&service), 1);
    service.stop().unwrap();
    let (mut service, client) = deployment.initialized();
    assert_eq!(deployment.token().unwrap(), token);
    assert_eq!(shown_tokens(&service), 0);
    assert_eq!(client.get("/pki/status").unwrap().status, 200);
    service.stop().unwrap();

    // Readable by others it is not shown, and the log says what to do.
    let file = deployment.data_dir().join("system-token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let service = deployment.start();
    until("the log names the file", || service.log().contains("run chmod 600 on it").then_some(()));
    assert_eq!(shown_tokens(&service), 0);
}

#[test]
fn a_preset_system_token_works_over_restarts_until_another_is_set() {
    let deployment = Deployment::production();
    let with = |token: &str| deployment.launch().env("CATALYST_SYSTEM_TOKEN", token).start().unwrap();
    let admitted = |client: Client| {
        until("credentials are checked", || {
            let status = client.get("/pki/status").unwrap().status;
            (status != 503).then_some(status)
        })
    };
    for _ in 0..2 {
        let mut service = with(PRESET);
        assert_eq!(admitted(service.http().with_token(PRESET)), 200);
        assert_eq!(shown_tokens(&service), 0);
        assert_eq!(service.stop().unwrap().code(), Some(0));
    }
    assert!(!deployment.data_dir().join("system-token").exists());
    let other = PRESET.to_uppercase();
    let service = with(&other);
    assert_eq!(admitted(service.http().with_token(PRESET)), 401);
    assert_eq!(admitted(service.http().with_token(&other)), 200);
}

#[test]
fn a_preset_system_token_works_without_the_token_key() {
    let deployment = Deployment::production();
    let start = || deployment.launch().env("CATALYST_SYSTEM_TOKEN", PRESET).start().unwrap();
    let mut service = start();
    until("the token key is made", || deployment.key_file("token-1").exists().then_some(()));
    until("it is open", || {
        (service.http().get("/.well-known/jwks.json").unwrap().status == 200).then_some(())
    });
    service.stop().unwrap();
    fs::remove_file(deployment.key_file("token-1")).unwrap();
    let service = start();
    assert_eq!(service.http().with_token(PRESET).get("/pki/status").unwrap().status, 200);
    assert_eq!(service.http().get("/.well-known/jwks.json").unwrap().status, 200);
}

#[test]
fn a_copy_of_the_dev_passphrase_that_a_crash_left_is_removed() {
    let deployment = Deployment::dev();
    let (mut service, _client) = deployment.initialized();
    service.stop().unwrap();
    let copy = deployment.data_dir().join(".dev-passphrase.4711");
    fs::hard_link(deployment.data_dir().join("dev-passphrase"), &copy).unwrap();
    drop(deployment.initialized());
    assert!(!copy.exists());
}

#[test]
fn keys_whose_dev_passphrase_is_gone_are_not_given_another_one() {
    let deployment = Deployment::dev();
    let (mut service, _client) = deployment.initialized();
    service.stop().unwrap();
    fs::remove_file(deployment.data_dir().join("dev-passphrase")).unwrap();
    let (code, log) = deployment.refused();
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("CATALYST_PKI_LOCAL_PASSPHRASE_FILE"), "{log}");
    assert!(!deployment.data_dir().join("dev-passphrase").exists());
}

#[test]
fn names_that_are_none_end_the_start_as_other_wrong_settings_do() {
    let deployment = Deployment::dev();
    for domain in ["Example.org", ".example.org", "exa mple.org"] {
        let (code, log) = exit(deployment.launch().env("CATALYST_DOMAINS", domain));
        assert!(code == 2 && log.contains("CATALYST_DOMAINS"), "{domain}: {code} {log}");
    }
    for (variable, value) in [("CATALYST_NODE_ID", "A B"), ("CATALYST_PKI_DNS_NAMES", "nodde=a.example.org")]
    {
        let (code, log) = exit(deployment.launch().env(variable, value));
        assert!(code == 2 && log.contains(variable), "{value}: {code} {log}");
    }
}
