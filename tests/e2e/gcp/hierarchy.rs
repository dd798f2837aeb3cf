//! Every key of a service in Google Cloud KMS.

use super::{
    RING, at_hand, beside, calls_from, count, key_uris, keys, launch_on, plant, refusal, so_far, version,
    warnings,
};
use crate::{
    auth_cli::done,
    checkers::{Exhibits, Eyes, everything_passes},
    pki::{Issued, Pki, eventually, ok, spiffe_id},
    renewal::{SCHEME, proof, renew, request},
    secrets::files_below,
};
use catalyst_rigs::{
    gcp::{
        Effect, FakeKms, MACHINE, On, Plant, When,
        api::{Algorithm, Code, Method, ProtectionLevel},
    },
    scan::Scanner,
};
use serde_json::json;
use std::{collections::BTreeSet, fs, path::Path};
use tempfile::TempDir;

fn initialized(data_dir: &Path, fake: &FakeKms) -> Pki {
    let pki = Pki::start(launch_on(data_dir, fake));
    done(&pki.service, &["pki", "init", "--with-intermediates"]);
    pki.ready()
}

#[test]
fn a_hierarchy_in_google_cloud_kms_passes_every_checker() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake);
    everything_passes(&Exhibits::of(pki, data_dir), Eyes::Most);
}

#[test]
fn keys_in_google_cloud_kms_are_there_after_a_restart_and_leave_no_secret_behind() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let mut pki = initialized(data_dir.path(), &fake);
    let (uris, bundle) = (key_uris(&pki), pki.bundle());
    assert_eq!(keys(&fake).len(), 4, "root, services, transport and the one that signs tokens");
    let first = pki.issue("node", "n1");
    let (key, csr) = request("node", "n1");
    let renewed = Issued::of(key, ok(&renew(&pki, SCHEME, &proof(&first, &csr), "n1", &csr)));
    let path = format!("/pki/certificates/{}/revoke", renewed.serial());
    ok(&pki.post(&path, &json!({"reason": "keyCompromise"})));
    eventually("the CRL", || pki.crl("services").reason_for(renewed.serial()));
    has_no_secret(&mut pki);

    let made = count(&fake, Method::CreateCryptoKey);
    let mut again = Pki::start(launch_on(data_dir.path(), &fake)).ready();
    assert_eq!((key_uris(&again), again.bundle()), (uris, bundle));
    // The token key is the same too: what it signed before is taken.
    assert_eq!(again.token, pki.token);
    again.issue("node", "n2");
    again.issue("envoy/app", "n2");
    assert!(again.crl("services").reason_for(renewed.serial()).is_some());
    assert_eq!((count(&fake, Method::CreateCryptoKey), keys(&fake).len()), (made, 4));
    assert_eq!(ok(&again.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
    has_no_secret(&mut again);
}

#[test]
fn a_certificate_costs_one_call_and_all_else_on_its_way_none() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake);
    let [_, services, transport] = key_uris(&pki).map(|uri| version(&uri));
    let first = pki.issue("node", "n0");
    pki.issue("envoy/app", "n0");
    // Both have signed; the keys' states are asked for once a minute.
    let before = so_far(&fake);
    for number in 1..=10 {
        pki.issue("node", &format!("n{number}"));
        pki.issue("envoy/app", &format!("n{number}"));
    }
    let (_, csr) = request("node", "n0");
    ok(&renew(&pki, SCHEME, &proof(&first, &csr), "n0", &csr));
    for path in
        ["/pki/ca/bundle", "/pki/crl/services", "/pki/status", "/pki/certificates", "/ready", "/metrics"]
    {
        assert_eq!(pki.get(path).status, 200, "{path}");
    }
    assert_eq!(pki.sign("node", "n1", "no request").status, 400);
    let mut calls = calls_from(&fake, before);
    calls.retain(|call| call.method != Method::GetCryptoKeyVersion);
    assert!(calls.iter().all(|call| call.method == Method::AsymmetricSign), "{calls:?}");
    let by = |version: &str| calls.iter().filter(|call| call.resource == version).count();
    assert_eq!((by(&services), by(&transport), calls.len()), (11, 10, 21));

    // A denial signs a CRL at once, and that once.
    let before = so_far(&fake);
    pki.deny(&spiffe_id("node", "n1"), true);
    eventually("the CRL", || (!pki.crl("services").entries().is_empty()).then_some(()));
    let calls = calls_from(&fake, before);
    assert_eq!(calls.iter().filter(|call| call.method == Method::AsymmetricSign).count(), 1);
}

#[test]
fn keys_say_what_they_are_for_in_their_ids_and_labels() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake);
    let (mut uris, mut deployments) = (BTreeSet::new(), BTreeSet::new());
    let mut roles = Vec::new();
    for key in keys(&fake) {
        let labels = key["labels"].as_object().unwrap();
        let label = |name: &str| labels[&format!("catalyst_pki_{name}")].as_str().unwrap().to_owned();
        let (role, generation, nonce) = (label("role"), label("generation"), label("nonce"));
        assert_eq!((generation.as_str(), nonce.len(), labels.len()), ("1", 32, 4));
        let name = key["name"].as_str().unwrap();
        assert_eq!(name.rsplit('/').next().unwrap(), format!("{role}-1-{nonce}"));
        assert_eq!(key["purpose"], "ASYMMETRIC_SIGN");
        assert_eq!(key["destroyScheduledDuration"], "2592000s", "30 days");
        let version = beside(&fake, &format!("{name}/cryptoKeyVersions/1"));
        assert_eq!(
            (&version["protectionLevel"], &version["algorithm"], &version["state"]),
            (&json!("HSM"), &json!("EC_SIGN_P384_SHA384"), &json!("ENABLED"))
        );
        deployments.insert(label("deployment"));
        if role != "token" {
            uris.insert(format!("gcpkms:{name}/cryptoKeyVersions/1"));
        }
        roles.push(role);
    }
    roles.sort();
    assert_eq!(roles, ["root", "services", "token", "transport"]);
    assert_eq!((uris, deployments.len()), (BTreeSet::from(key_uris(&pki)), 1));
    assert_eq!(warnings(&pki), [""; 0]);
}

#[test]
fn status_and_metrics_tell_of_the_keys() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake);
    pki.issue("node", "n1");
    let metrics = || pki.service.http().get("/metrics").unwrap().text();
    for line in [
        "key_state{backend=\"gcp-kms\",ca_name=\"Catalyst Services CA\"} 1",
        "key_state{backend=\"gcp-kms\",ca_name=\"Catalyst Transport CA\"} 1",
        "signing_duration_seconds_count{backend=\"gcpkms\",operation=\"sign\",outcome=\"ok\"} ",
    ] {
        let line = format!("catalyst_pki_{line}");
        eventually(&line, || metrics().lines().any(|found| found.starts_with(&line)).then_some(()));
    }
    let status = done(&pki.service, &["pki", "status"]);
    assert!(status.starts_with("PKI Status: HEALTHY"), "{status}");
    let lines = done(&pki.service, &["backend", "retry"]);
    for uri in &key_uris(&pki)[1..] {
        assert!(lines.contains(&format!("{uri}\tready")), "{lines}");
    }
}

#[test]
fn a_key_that_no_ca_has_is_listed_and_left_alone() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake);
    let made = keys(&fake);
    // As if an earlier certificate store of this deployment had made it.
    let mut key = made[0].clone();
    let labels = key["labels"].as_object_mut().unwrap();
    labels.insert("catalyst_pki_generation".into(), "7".into());
    labels.insert("catalyst_pki_nonce".into(), "0123456789abcdef0123456789abcdef".into());
    let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    let left = Plant {
        key: format!("{RING}/cryptoKeys/root-7-0123456789abcdef0123456789abcdef"),
        algorithm: Algorithm::EcSignP384Sha384,
        protection_level: ProtectionLevel::Hsm,
        labels: labels.collect(),
    };
    let left = fake.plant(&left).unwrap();
    plant(&fake, "somebody-elses");
    let listed = done(&pki.service, &["pki", "keys", "reconcile"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(matches!(&lines[..], [line] if line.starts_with(&format!("gcpkms:{left}"))), "{listed}");
    let state = |version: &str| beside(&fake, version)["state"].clone();
    assert_eq!(state(&left), "ENABLED");
}

#[test]
fn what_latched_is_tried_again_when_an_operator_says_so() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake);
    let services = version(&key_uris(&pki)[1]);
    let on = On { method: Some(Method::AsymmetricSign), resource: Some(services.clone()), ..On::default() };
    fake.add(on, When::Always, Effect::Refuse(Code::PermissionDenied.into())).unwrap();
    let (_, csr) = request("node", "n1");
    let (status, code, _) = refusal(&pki.sign("node", "n1", &csr));
    assert_eq!((status, code.as_str()), (500, "key_refused_denied"));
    eventually("the permission in the log", || {
        pki.service.log().contains("cloudkms.cryptoKeyVersions.useToSign").then_some(())
    });
    // The other network goes on, and nothing more is asked of the key.
    pki.issue("envoy/app", "n1");
    fake.clear().unwrap();
    let (status, code, _) = refusal(&pki.sign("node", "n1", &csr));
    assert_eq!((status, code.as_str()), (500, "key_refused_denied"));
    let lines = done(&pki.service, &["backend", "retry", "gcp-kms"]);
    assert!(lines.contains(&format!("gcpkms:{services}\tready")), "{lines}");
    pki.issue("node", "n1");
}

/// Ends the service. Neither the access token nor a private key is in the data directory, nor the token in what was said
/// or on the command line.
fn has_no_secret(pki: &mut Pki) {
    let mut scanner = Scanner::default();
    scanner.add("access token", MACHINE.as_bytes());
    let line = fs::read(format!("/proc/{}/cmdline", pki.service.pid())).unwrap();
    assert!(scanner.find(&line).is_empty(), "{}", String::from_utf8_lossy(&line));
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    assert!(scanner.find(pki.service.log().as_bytes()).is_empty(), "{}", pki.service.log());
    let (_, signature) = pki.token.rsplit_once('.').unwrap();
    scanner.add("system token", signature.as_bytes());
    for (path, content) in files_below(pki.service.data_dir()) {
        let found = scanner.find(&content);
        match path.ends_with("system-token") {
            // The looking finds what there is.
            true => assert!(found.contains("system token")),
            false => assert!(found.is_empty(), "{found:?} in {}", path.display()),
        }
        assert!(!String::from_utf8_lossy(&content).contains("PRIVATE KEY"), "{}", path.display());
    }
    assert!(!pki.service.data_dir().join("keys").exists());
}
