//! Every key of a service on one token.

use super::{directory_of, key_uris, launch_on, private_keys};
use crate::{
    auth_cli::done,
    checkers::{Exhibits, Eyes, everything_passes},
    pki::Pki,
    secrets::files_below,
    x509::Certificate,
};
use catalyst_rigs::{
    pkcs11::{Kryoptic, SoftHsm, TestToken},
    scan::Scanner,
};
use std::{fs, path::Path};
use tempfile::TempDir;

fn initialized(data_dir: &Path, token: &TestToken) -> Pki {
    let pki = Pki::start(launch_on(data_dir, token));
    done(&pki.service, &["pki", "init", "--with-intermediates"]);
    pki.ready()
}

#[test]
fn a_hierarchy_in_softhsm_passes_every_checker() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &token);
    everything_passes(&Exhibits::of(pki, data_dir), Eyes::Most);
}

#[test]
fn a_hierarchy_in_kryoptic_with_ml_dsa_passes_rustls() {
    let token = Kryoptic::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::initialized(launch_on(data_dir.path(), &token).env("CATALYST_PKI_ALGORITHM", "ML-DSA-65"));
    for ca in Certificate::all(&pki.bundle()) {
        let algorithm = ca.tbs().signature().oid.to_string();
        assert_eq!(algorithm, "2.16.840.1.101.3.4.3.18", "id-ml-dsa-65 (RFC 9881)");
    }
    everything_passes(&Exhibits::of(pki, data_dir), Eyes::Webpki);
}

#[test]
fn keys_of_a_token_are_there_after_a_restart_and_leave_no_secret_behind() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = initialized(data_dir.path(), &token);
    let (uris, bundle) = (key_uris(&pki), pki.bundle());
    for uri in &uris {
        assert!(uri.starts_with("pkcs11:serial=") && uri.contains(";id=%"), "{uri}");
    }
    assert_eq!(private_keys(&token), 4, "root, services, transport and the one that signs tokens");
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    has_no_secret(&pki, &token);

    let mut again = Pki::start(launch_on(data_dir.path(), &token)).ready();
    assert_eq!((key_uris(&again), again.bundle()), (uris, bundle));
    // The token key is the same too: what it signed before is taken.
    assert_eq!(again.token, pki.token);
    again.issue("node", "n2");
    again.issue("envoy/app", "n2");
    assert_eq!(private_keys(&token), 4);
    has_no_secret(&again, &token);
    assert!(again.service.stop().unwrap().success(), "{}", again.service.log());
}

/// Neither the PIN nor a private key is in the data directory, nor anything of the PIN in what was said.
fn has_no_secret(pki: &Pki, token: &TestToken) {
    let mut scanner = Scanner::default();
    scanner.add("PIN", token.pin.as_bytes());
    for (path, content) in files_below(pki.service.data_dir()) {
        assert!(scanner.find(&content).is_empty(), "{}", path.display());
        assert!(!String::from_utf8_lossy(&content).contains("PRIVATE KEY"), "{}", path.display());
    }
    assert!(scanner.find(pki.service.log().as_bytes()).is_empty(), "{}", pki.service.log());
    let keys = fs::read_dir(pki.service.data_dir().join("keys"));
    assert_eq!(keys.map_or(0, Iterator::count), 0, "there are key files");
    // The looking finds what there is.
    let label = directory_of(token).join("token.object");
    let mut scanner = Scanner::default();
    scanner.add("label", token.label.as_bytes());
    assert!(scanner.find(&fs::read(label).unwrap()).contains("label"));
}
