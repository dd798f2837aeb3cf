//! Both intermediates moved into a token by new generations, while clients renew.

use super::{key_uris, private_keys, with};
use crate::{
    pki::{Issued, Pki, launch_in, ok},
    renewal::{Ended, SCHEME, proof, renew, renews, request},
    x509::Certificate,
};
use catalyst_rigs::{
    Launch,
    checkers::openssl_verify,
    pkcs11::{SoftHsm, TestToken},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};
use tempfile::TempDir;

const CLIENTS: usize = 4;
/// Renewals of all clients that are waited for between two steps.
const BETWEEN: usize = 12;

fn launch(data_dir: &Path, token: &TestToken) -> Launch {
    with(launch_in(data_dir), &token.variables())
        .env("CATALYST_PKI_KEY_BACKEND", "local")
        .env("CATALYST_PKI_ISSUE_LIMIT", "0")
}

#[test]
fn both_intermediates_move_into_a_token_while_clients_renew() {
    let token = SoftHsm::new().unwrap().token().unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch(data_dir.path(), &token));
    assert_eq!(key_uris(&pki), ["local:root-1", "local:services-1", "local:transport-1"]);
    let (count, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let some_more = |reached: usize| {
        crate::pki::eventually("more renewals", || (count.load(Relaxed) >= reached + BETWEEN).then_some(()));
    };
    let last: Vec<Issued> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (pki, count, ended) = (&pki, &count, &ended);
                let instance = format!("n{number}");
                let first = pki.issue("node", &instance);
                scope.spawn(move || renews(pki, first, &instance, count, ended))
            })
            .collect();
        let end = Ended(&ended);
        for name in ["Catalyst Services CA v2", "Catalyst Transport CA v2"] {
            some_more(count.load(Relaxed));
            let new = ok(&pki.post("/pki/intermediary", &json!({"commonName": name, "backend": "pkcs11"})));
            some_more(count.load(Relaxed));
            let path = format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap());
            ok(&pki.post(&path, &json!({"now": true})));
        }
        some_more(count.load(Relaxed));
        drop(end);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let uris = key_uris(&pki);
    assert_eq!(uris[0], "local:root-1");
    assert!(uris[1..].iter().all(|uri| uri.starts_with("pkcs11:serial=")), "{uris:?}");
    assert_eq!(private_keys(&token), 2);

    let bundle = pki.bundle();
    let names: BTreeSet<_> = Certificate::all(&bundle).iter().map(|ca| ca.common_name().unwrap()).collect();
    for name in [
        "Catalyst Services CA",
        "Catalyst Services CA v2",
        "Catalyst Transport CA",
        "Catalyst Transport CA v2",
    ] {
        assert!(names.contains(name), "{names:?}");
    }
    let beside = TempDir::new().unwrap();
    let [bundle_file, leaf_file] = ["bundle.pem", "leaf.pem"].map(|name| beside.path().join(name));
    fs::write(&bundle_file, bundle).unwrap();
    for issued in &last {
        assert_eq!(issued.certificate.issuer_name(), "Catalyst Services CA v2");
        fs::write(&leaf_file, issued.answer["certificatePem"].as_str().unwrap()).unwrap();
        openssl_verify(&bundle_file, &leaf_file).unwrap();
    }

    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    for gone in ["services-1.pem", "transport-1.pem"] {
        fs::rename(data_dir.path().join("keys").join(gone), beside.path().join(gone)).unwrap();
    }
    let again = Pki::start(launch(data_dir.path(), &token)).ready();
    let (key, csr) = request("node", "n0");
    let renewed = Issued::of(key, ok(&renew(&again, SCHEME, &proof(&last[0], &csr), "n0", &csr)));
    assert_eq!(renewed.certificate.issuer_name(), "Catalyst Services CA v2");
    assert_eq!(again.issue("envoy/app", "n1").certificate.issuer_name(), "Catalyst Transport CA v2");
}
