//! Everything this CA makes, under the eyes of programs that are not ours: OpenSSL, rustls-webpki, GnuTLS, pkilint.

use crate::{
    csr,
    pki::{Pki, SERVICE_TYPES, eventually, launch_in, ok, spiffe_id},
    x509::{Certificate, split_pem},
};
use catalyst_rigs::checkers::{self, Finding, openssl};
use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::json;
use std::{fs, path::PathBuf};
use tempfile::TempDir;
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
    anchor_from_trusted_cert,
};

/// Who looks at a hierarchy, by its signature algorithm.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Eyes {
    /// Every checker at every kind of document.
    All,
    /// Every checker; pkilint, which takes its time, at what the algorithm makes different.
    Most,
    /// rustls-webpki: OpenSSL 3.0, GnuTLS 3.7 and pkilint have no ML-DSA.
    Webpki,
}

/// Findings of pkilint that we argue with, beside those that [`Finding::is_known_to_be_false`] knows: the rule, how
/// its details begin, and why it is wrong.
const ARGUED_WITH: [(&str, &str, &str); 3] = [
    ("pkix.invalid_domain_name_syntax", "Invalid domain name syntax: \"orch-", ONE_LABEL),
    ("pkix.invalid_domain_name_syntax", "Invalid domain name syntax: \"envoy-proxy-", ONE_LABEL),
    ("pkix.invalid_domain_name_syntax", "Invalid domain name syntax: \"auth\"", ONE_LABEL),
];
const ONE_LABEL: &str = "a dNSName is in the preferred name syntax of RFC 1034, 3.5 (RFC 5280, 4.2.1.6), where a \
    single label is a whole subdomain; pkilint wants a dot";

fn is_argued_with(finding: &Finding) -> bool {
    ARGUED_WITH.iter().any(|(code, details, _)| finding.code == *code && finding.message.starts_with(details))
}

#[track_caller]
fn clean(what: &str, findings: Vec<Finding>) {
    let left: Vec<_> = findings
        .into_iter()
        .filter(|finding| !finding.is_known_to_be_false() && !is_argued_with(finding))
        .collect();
    assert!(left.is_empty(), "pkilint on {what}: {left:#?}");
}

/// A CA with its documents as files.
pub(crate) struct Exhibits {
    pub(crate) pki: Pki,
    directory: TempDir,
    _data_dir: TempDir,
}

impl Exhibits {
    fn new(algorithm: &str) -> Self {
        let data_dir = TempDir::new().unwrap();
        let launch = launch_in(data_dir.path()).env("CATALYST_PKI_ALGORITHM", algorithm);
        Self::of(Pki::initialized(launch), data_dir)
    }

    pub(crate) fn of(pki: Pki, data_dir: TempDir) -> Self {
        Self { pki, directory: TempDir::new().unwrap(), _data_dir: data_dir }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn bundle(&self) -> PathBuf {
        self.file("bundle.pem", &self.pki.bundle())
    }

    fn crls(&self) -> String {
        let answer = self.pki.service.http().get("/pki/crl").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// One SVID of each service type, on both curves in turn, and one whose subject is empty.
    fn svids(&self) -> Vec<Certificate> {
        let mut svids = Vec::new();
        for (i, (service_type, _)) in SERVICE_TYPES.iter().enumerate() {
            for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P256_SHA256] {
                let key = KeyPair::generate_for(algorithm).unwrap();
                svids.push(
                    self.pki.issue_for(service_type, &format!("node-{i}.example.org"), key).certificate,
                );
            }
        }
        let long = format!("{}.{}.example.org", "a".repeat(60), "b".repeat(60));
        svids.push(self.pki.issue("gateway", &long).certificate);
        svids
    }

    /// OpenSSL's and GnuTLS's opinion of a chain.
    pub(crate) fn verify(&self, certificate: &Certificate) {
        let (bundle, leaf) = (self.bundle(), self.file("leaf.pem", &pem(certificate)));
        checkers::openssl_verify(&bundle, &leaf).unwrap();
        let [bundle_path, leaf_path] = [&bundle, &leaf].map(|path| path.to_str().unwrap());
        for purpose in ["sslclient", "sslserver"] {
            openssl(&["verify", "-x509_strict", "-purpose", purpose, "-CAfile", bundle_path, leaf_path])
                .unwrap();
        }
        checkers::certtool_verify(&bundle, &leaf).unwrap();
    }

    /// OpenSSL with the CRLs of the whole chain: fine, or revoked.
    pub(crate) fn openssl_revocation(&self, certificate: &Certificate) -> Result<(), String> {
        let crls = self.file("crls.pem", &self.crls());
        let (bundle, leaf) = (self.bundle(), self.file("leaf.pem", &pem(certificate)));
        let [crls, bundle, leaf] = [&crls, &bundle, &leaf].map(|path| path.to_str().unwrap());
        let args = ["verify", "-x509_strict", "-crl_check_all", "-CRLfile", crls, "-CAfile", bundle, leaf];
        openssl(&args).map(drop).map_err(|error| error.to_string())
    }

    /// rustls-webpki, for servers and for clients, with the CRLs of the whole chain, none of them past its end.
    pub(crate) fn webpki(&self, certificate: &Certificate) -> Result<(), webpki::Error> {
        let cas = Certificate::all(&self.pki.bundle());
        let root = CertificateDer::from(cas[0].der.as_slice());
        let anchor = anchor_from_trusted_cert(&root).unwrap();
        let intermediates: Vec<_> =
            cas[1..].iter().map(|ca| CertificateDer::from(ca.der.as_slice())).collect();
        let lists: Vec<CertRevocationList<'_>> = split_pem(&self.crls())
            .iter()
            .map(|pem| OwnedCertRevocationList::from_der(&csr::der(pem)).unwrap().into())
            .collect();
        let lists: Vec<_> = lists.iter().collect();
        let leaf = CertificateDer::from(certificate.der.as_slice());
        let leaf = EndEntityCert::try_from(&leaf).unwrap();
        for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
            let revocation = RevocationOptionsBuilder::new(&lists)
                .unwrap()
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build();
            leaf.verify_for_usage(
                ALL_VERIFICATION_ALGS,
                std::slice::from_ref(&anchor),
                &intermediates,
                UnixTime::now(),
                usage,
                Some(revocation),
                None,
            )?;
        }
        Ok(())
    }

    /// The CRLs as they are now, each with its CA.
    pub(crate) fn check_crls(&self) {
        let cas = split_pem(&self.pki.bundle());
        for (i, (ca, crl)) in cas.iter().zip(split_pem(&self.crls())).enumerate() {
            let (ca, crl) = (self.file("ca.pem", ca), self.file("crl.pem", &crl));
            let [ca_path, crl_path] = [&ca, &crl].map(|path| path.to_str().unwrap());
            openssl(&["crl", "-in", crl_path, "-CAfile", ca_path, "-noout"]).unwrap();
            checkers::certtool_verify_crl(&ca, &crl).unwrap();
            clean("a CRL", checkers::pkilint_crl(&crl, i == 0).unwrap());
        }
    }
}

fn pem(certificate: &Certificate) -> String {
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &certificate.der).unwrap()
}

pub(crate) fn everything_passes(exhibits: &Exhibits, eyes: Eyes) {
    let pki = &exhibits.pki;
    let svids = exhibits.svids();
    for svid in &svids {
        exhibits.webpki(svid).unwrap();
        if eyes != Eyes::Webpki {
            exhibits.verify(svid);
            exhibits.openssl_revocation(svid).unwrap();
        }
    }
    if eyes != Eyes::Webpki {
        lint(exhibits, &svids, eyes);
    }
    if eyes == Eyes::All {
        exhibits.check_crls();
    }
    // One on hold, one compromised, one superseded, a CA revoked: every checker that looks sees it.
    let held = pki.issue("node", "held");
    let compromised = pki.issue("node", "compromised");
    let superseded = pki.issue("node", "superseded");
    pki.deny(&spiffe_id("node", "held"), false);
    pki.deny(&spiffe_id("node", "compromised"), true);
    let path = format!("/pki/certificates/{}/revoke", superseded.serial());
    ok(&pki.post(&path, &json!({"reason": "superseded"})));
    for issued in [&held, &compromised, &superseded] {
        assert_eq!(exhibits.webpki(&issued.certificate), Err(webpki::Error::CertRevoked));
        if eyes != Eyes::Webpki {
            let refused = exhibits.openssl_revocation(&issued.certificate).unwrap_err();
            assert!(refused.contains("certificate revoked"), "{refused}");
        }
    }
    pki.allow(&spiffe_id("node", "held"));
    exhibits.webpki(&held.certificate).unwrap();
    pki.deny(&spiffe_id("node", "held"), false);
    exhibits.webpki(&svids[0]).unwrap();
    if eyes != Eyes::Webpki {
        exhibits.check_crls();
    }
    let transport = Certificate::all(&pki.bundle()).remove(2);
    ok(&pki.post(&format!("/pki/ca/{}/revoke", transport.key_id()), &json!({"reason": "cACompromise"})));
    eventually("the root's CRL", || pki.crl("root").reason_for(&transport.serial()));
    if eyes == Eyes::All {
        let root = exhibits.file("root.pem", &split_pem(&pki.bundle())[0]);
        let crl = exhibits.file("crl.pem", &split_pem(&exhibits.crls())[0]);
        checkers::certtool_verify_crl(&root, &crl).unwrap();
        clean("the root's CRL", checkers::pkilint_crl(&crl, true).unwrap());
    }
}

/// pkilint at NOTICE, on each kind of certificate alone and with its issuer.
fn lint(exhibits: &Exhibits, svids: &[Certificate], eyes: Eyes) {
    let cas = split_pem(&exhibits.pki.bundle());
    let [root, services, transport] = [0, 1, 2].map(|i| exhibits.file(&format!("ca-{i}.pem"), &cas[i]));
    clean("the root", checkers::pkilint_pair(&root, &root).unwrap());
    let cas = if eyes == Eyes::All { vec![&root, &services, &transport] } else { vec![&services] };
    for ca in cas {
        clean("a CA", checkers::pkilint_certificate(ca).unwrap());
        clean("a CA and the root", checkers::pkilint_pair(&root, ca).unwrap());
    }
    // Of each type one, on P-384 and P-256 in turn, and the one without a subject; else the latter alone.
    let chosen = (0..SERVICE_TYPES.len()).map(|i| 2 * i + i % 2).filter(|_| eyes == Eyes::All);
    for svid in chosen.chain([svids.len() - 1]).map(|i| &svids[i]) {
        let leaf = exhibits.file("leaf.pem", &pem(svid));
        let issuer = if svid.issuer_name().contains("Services") { &services } else { &transport };
        clean("an SVID", checkers::pkilint_certificate(&leaf).unwrap());
        clean("an SVID and its issuer", checkers::pkilint_pair(issuer, &leaf).unwrap());
    }
}

#[test]
fn a_hierarchy_on_p_384_passes_every_checker() {
    everything_passes(&Exhibits::new("EC-P384"), Eyes::All);
}

#[test]
fn a_hierarchy_on_p_256_passes_every_checker() {
    everything_passes(&Exhibits::new("EC-P256"), Eyes::Most);
}

#[test]
fn a_hierarchy_of_rsa_keys_passes_every_checker() {
    everything_passes(&Exhibits::new("RSA-3072"), Eyes::Most);
}

#[test]
fn a_hierarchy_of_ed25519_keys_passes_every_checker() {
    everything_passes(&Exhibits::new("ED25519"), Eyes::Most);
}

#[test]
fn a_hierarchy_of_ml_dsa_keys_passes_rustls() {
    everything_passes(&Exhibits::new("ML-DSA-65"), Eyes::Webpki);
}

#[test]
fn two_generations_of_a_ca_are_told_apart_by_every_checker() {
    let exhibits = Exhibits::new("EC-P384");
    let pki = &exhibits.pki;
    let old = [pki.issue("node", "old-good"), pki.issue("node", "old-held")];
    let body = json!({"commonName": "Catalyst Services CA v2", "algorithm": "EC-P256"});
    let ski = ok(&pki.post("/pki/intermediary", &body))["ski"].as_str().unwrap().to_owned();
    ok(&pki.post(&format!("/pki/ca/{ski}/activate"), &json!({"now": true})));
    let new = [pki.issue("node", "new-good"), pki.issue("node", "new-held")];
    pki.deny(&spiffe_id("node", "old-held"), false);
    pki.deny(&spiffe_id("node", "new-held"), false);
    for [good, held] in [old, new] {
        exhibits.verify(&good.certificate);
        exhibits.openssl_revocation(&good.certificate).unwrap();
        exhibits.webpki(&good.certificate).unwrap();
        exhibits.openssl_revocation(&held.certificate).unwrap_err();
        assert_eq!(exhibits.webpki(&held.certificate), Err(webpki::Error::CertRevoked));
    }
}

#[test]
fn a_certificate_of_another_deployment_passes_no_checker() {
    let (ours, theirs) = (Exhibits::new("EC-P384"), Exhibits::new("EC-P384"));
    let stranger = theirs.pki.issue("node", "n1");
    let (bundle, leaf) = (ours.bundle(), ours.file("leaf.pem", &pem(&stranger.certificate)));
    checkers::openssl_verify(&bundle, &leaf).unwrap_err();
    checkers::certtool_verify(&bundle, &leaf).unwrap_err();
    ours.webpki(&stranger.certificate).unwrap_err();
}
