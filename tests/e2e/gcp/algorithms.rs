//! Other algorithms than the default, and where Cloud KMS has them.

use super::{at_hand, beside, key_uris, launch_on, version};
use crate::{
    auth_cli::run,
    checkers::{Exhibits, Eyes, everything_passes},
    pki::{Issued, Pki, eventually, spiffe_id},
    x509::Certificate,
};
use catalyst_rigs::gcp::FakeKms;
use std::path::Path;
use tempfile::TempDir;

fn initialized(data_dir: &Path, fake: &FakeKms, protection: &str, algorithm: &str) -> Pki {
    let launch = launch_on(data_dir, fake).env("CATALYST_PKI_GCP_PROTECTION", protection);
    Pki::initialized(launch.env("CATALYST_PKI_ALGORITHM", algorithm))
}

/// Algorithm and protection level of the services CA's version.
fn services_key(pki: &Pki, fake: &FakeKms) -> (String, String) {
    let described = beside(fake, &version(&key_uris(pki)[1]));
    let text = |field: &str| described[field].as_str().unwrap().to_owned();
    (text("algorithm"), text("protectionLevel"))
}

fn is(algorithm: &str, level: &str) -> (String, String) {
    (algorithm.to_owned(), level.to_owned())
}

#[test]
fn an_ml_dsa_hierarchy_in_software_passes_rustls() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake, "software", "ML-DSA-65");
    assert_eq!(services_key(&pki, &fake), is("PQ_SIGN_ML_DSA_65_EXTERNAL_MU", "SOFTWARE"));
    for ca in Certificate::all(&pki.bundle()) {
        let algorithm = ca.tbs().signature().oid.to_string();
        assert_eq!(algorithm, "2.16.840.1.101.3.4.3.18", "id-ml-dsa-65 (RFC 9881)");
    }
    everything_passes(&Exhibits::of(pki, data_dir), Eyes::Webpki);
}

#[test]
fn a_hierarchy_of_rsa_keys_in_an_hsm_passes_every_checker() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &fake, "hsm", "RSA-3072");
    assert_eq!(services_key(&pki, &fake), is("RSA_SIGN_PKCS1_3072_SHA256", "HSM"));
    everything_passes(&Exhibits::of(pki, data_dir), Eyes::Most);
}

/// It goes out as µ, which has 64 octets whatever the length.
#[test]
fn a_long_crl_of_ml_dsa_passes_rustls() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let launch = launch_on(data_dir.path(), &fake)
        .env("CATALYST_PKI_GCP_PROTECTION", "software")
        .env("CATALYST_PKI_ISSUE_LIMIT", "0");
    let pki = Pki::initialized(launch.env("CATALYST_PKI_ALGORITHM", "ML-DSA-65"));
    let good = pki.issue("node", "n1");
    let mut crowd: Vec<Issued> = (0..120).map(|_| pki.issue("node", "crowd")).collect();
    pki.deny(&spiffe_id("node", "crowd"), true);
    eventually("the CRL of them all", || (pki.crl("services").entries().len() >= 120).then_some(()));
    let exhibits = Exhibits::of(pki, data_dir);
    assert_eq!(exhibits.webpki(&crowd.remove(0).certificate), Err(webpki::Error::CertRevoked));
    exhibits.webpki(&good.certificate).unwrap();
}

/// Each is refused before anything is made for a CA.
#[test]
fn what_cloud_kms_cannot_do_for_a_ca_is_refused_with_the_reason() {
    let fake = at_hand();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::start(launch_on(data_dir.path(), &fake));
    for (algorithm, says) in [
        ("ED25519", "key store 'gcp-kms' signs at most 65536 bytes with ED25519, too few for a CRL"),
        ("ML-DSA-65", "gcp-kms"),
    ] {
        let args = ["pki", "init", "--algorithm", algorithm, "--with-intermediates"];
        let (code, stdout, stderr) = run(&pki.service, &args);
        assert_ne!(code, 0, "{stdout}");
        assert!(stderr.contains(says) && stderr.contains(algorithm), "{stderr}");
    }
    assert_eq!(super::keys(&fake).len(), 1, "the one that signs tokens");
}
