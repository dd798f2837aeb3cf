//! Intermediates moved into Google Cloud KMS by new generations, and back, while clients renew.

use super::{at_hand, in_project, key_uris, keys};
use crate::{
    pki::{Issued, Pki, eventually, launch_in, ok},
    renewal::{Ended, SCHEME, proof, renew, renews, request},
};
use catalyst_rigs::{
    Launch,
    checkers::openssl_verify,
    gcp::{FakeKms, api::Method},
};
use serde_json::json;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};
use tempfile::TempDir;

const CLIENTS: usize = 4;
/// Renewals of all clients that are waited for between two steps.
const BETWEEN: usize = 12;

fn launch(data_dir: &Path, fake: &FakeKms) -> Launch {
    in_project(launch_in(data_dir), fake)
        .env("CATALYST_PKI_KEY_BACKEND", "local")
        .env("CATALYST_PKI_ISSUE_LIMIT", "0")
}

/// The next generation of a CA in that key store, at work at once.
fn next(pki: &Pki, name: &str, backend: &str) {
    let new = ok(&pki.post("/pki/intermediary", &json!({"commonName": name, "backend": backend})));
    let path = format!("/pki/ca/{}/activate", new["ski"].as_str().unwrap());
    ok(&pki.post(&path, &json!({"now": true})));
}

#[test]
fn an_intermediate_moves_into_google_cloud_kms_and_back_while_clients_renew() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch(data_dir.path(), &fake));
    assert_eq!(key_uris(&pki), ["local:root-1", "local:services-1", "local:transport-1"]);
    let (count, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let some_more = || {
        let reached = count.load(Relaxed);
        eventually("more renewals", || (count.load(Relaxed) >= reached + BETWEEN).then_some(()));
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
        some_more();
        next(&pki, "Catalyst Services CA v2", "gcp-kms");
        some_more();
        assert_eq!(
            key_uris(&pki)[1],
            format!("gcpkms:{}/cryptoKeyVersions/1", keys(&fake)[0]["name"].as_str().unwrap())
        );
        let signed = super::count(&fake, Method::AsymmetricSign);
        some_more();
        assert!(super::count(&fake, Method::AsymmetricSign) >= signed + BETWEEN - CLIENTS);
        next(&pki, "Catalyst Services CA v3", "local");
        some_more();
        drop(end);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(key_uris(&pki), ["local:root-1", "local:services-3", "local:transport-1"]);
    assert_eq!(keys(&fake).len(), 1);

    let beside = TempDir::new().unwrap();
    let [bundle_file, leaf_file] = ["bundle.pem", "leaf.pem"].map(|name| beside.path().join(name));
    fs::write(&bundle_file, pki.bundle()).unwrap();
    for issued in &last {
        assert_eq!(issued.certificate.issuer_name(), "Catalyst Services CA v3");
        fs::write(&leaf_file, issued.answer["certificatePem"].as_str().unwrap()).unwrap();
        openssl_verify(&bundle_file, &leaf_file).unwrap();
    }
    // The generation in KMS still signs its CRL, here and after a restart.
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    let again = Pki::start(launch(data_dir.path(), &fake)).ready();
    let (key, csr) = request("node", "n0");
    let renewed = Issued::of(key, ok(&renew(&again, SCHEME, &proof(&last[0], &csr), "n0", &csr)));
    assert_eq!(renewed.certificate.issuer_name(), "Catalyst Services CA v3");
    assert_eq!(keys(&fake).len(), 1);
}
