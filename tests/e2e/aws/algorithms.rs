//! Other algorithms than the default, and messages that are longer than KMS takes.

use super::{keys, launch_on};
use crate::{
    auth_cli::run,
    checkers::{Exhibits, Eyes, everything_passes},
    pki::{Issued, Pki, eventually, spiffe_id},
    x509::Certificate,
};
use catalyst_rigs::aws::FaultProxy;
use std::path::Path;
use tempfile::TempDir;

/// The longest message that Sign takes as it is.
const RAW_MOST: usize = 4096;
/// So many serial numbers are more than that.
const CROWD: usize = 120;

fn initialized(data_dir: &Path, proxy: &FaultProxy, algorithm: &str) -> Pki {
    let launch = launch_on(data_dir, proxy).env("CATALYST_PKI_ISSUE_LIMIT", "0");
    Pki::initialized(launch.env("CATALYST_PKI_ALGORITHM", algorithm))
}

/// Brings more certificates onto the services CA's CRL than KMS takes as one message; gives one of them.
fn revoke_a_crowd(pki: &Pki) -> Issued {
    let mut crowd: Vec<Issued> = (0..CROWD).map(|_| pki.issue("node", "crowd")).collect();
    pki.deny(&spiffe_id("node", "crowd"), true);
    eventually("the CRL of them all", || (pki.crl("services").entries().len() >= CROWD).then_some(()));
    crowd.remove(0)
}

/// How Sign was asked: `DIGEST`, `RAW`, `EXTERNAL_MU`, each once.
fn message_types(proxy: &FaultProxy) -> Vec<String> {
    let mut types: Vec<_> = proxy.calls().into_iter().filter_map(|call| call.message_type).collect();
    types.sort();
    types.dedup();
    types
}

#[test]
fn an_ml_dsa_hierarchy_passes_rustls() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &proxy, "ML-DSA-65");
    for ca in Certificate::all(&pki.bundle()) {
        let algorithm = ca.tbs().signature().oid.to_string();
        assert_eq!(algorithm, "2.16.840.1.101.3.4.3.18", "id-ml-dsa-65 (RFC 9881)");
    }
    everything_passes(&Exhibits::of(pki, data_dir), Eyes::Webpki);
    // Tokens are signed with EC.
    assert_eq!(message_types(&proxy), ["DIGEST", "RAW"]);
}

#[test]
fn a_long_crl_of_ml_dsa_goes_out_as_mu_and_passes_rustls() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &proxy, "ML-DSA-65");
    let good = pki.issue("node", "n1");
    proxy.forget_calls();
    let revoked = revoke_a_crowd(&pki);
    assert_eq!(message_types(&proxy), ["EXTERNAL_MU", "RAW"]);
    let exhibits = Exhibits::of(pki, data_dir);
    assert_eq!(exhibits.webpki(&revoked.certificate), Err(webpki::Error::CertRevoked));
    exhibits.webpki(&good.certificate).unwrap();
}

#[test]
fn a_long_crl_of_ec_passes_every_checker() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &proxy, "EC-P384");
    let good = pki.issue("node", "n1");
    let revoked = revoke_a_crowd(&pki);
    assert_eq!(message_types(&proxy), ["DIGEST"]);
    assert!(pki.crl("services").der.len() > RAW_MOST + 256, "a signature on P-384 has 104 octets at most");
    let exhibits = Exhibits::of(pki, data_dir);
    exhibits.check_crls();
    assert_eq!(exhibits.webpki(&revoked.certificate), Err(webpki::Error::CertRevoked));
    exhibits.openssl_revocation(&revoked.certificate).unwrap_err();
    exhibits.webpki(&good.certificate).unwrap();
    exhibits.openssl_revocation(&good.certificate).unwrap();
}

#[test]
fn ed25519_is_refused_for_a_ca_for_it_could_sign_no_long_crl() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = Pki::start(launch_on(data_dir.path(), &proxy));
    let args = ["pki", "init", "--algorithm", "ED25519", "--with-intermediates"];
    let (code, stdout, stderr) = run(&pki.service, &args);
    assert_ne!(code, 0, "{stdout}");
    let says = "key store 'aws-kms' signs at most 4096 bytes with ED25519, too few for a CRL";
    assert!(stderr.contains(says), "{stderr}");
    assert_eq!(keys(&proxy).len(), 1, "the one that signs tokens");
}
