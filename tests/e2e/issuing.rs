//! From a CSR to a certificate.

use crate::{
    csr::{self, Openssl},
    pki::{Pki, SERVICE_TYPES, eventually, launch_in, ok, refused, spiffe_id},
    x509::Certificate,
};
use catalyst_rigs::{checkers::openssl, http::Client};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};
use tempfile::TempDir;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

fn millis(text: &Value) -> i64 {
    let at = OffsetDateTime::parse(text.as_str().unwrap(), &Rfc3339).unwrap();
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap()
}

/// How long a certificate lives; notBefore lies a minute back.
fn lifetime(certificate: &Certificate) -> u64 {
    let (not_before, not_after) = certificate.validity();
    not_after - not_before - 60
}

#[test]
fn every_service_type_gets_a_certificate_of_its_own_network() {
    let pki = Pki::dev();
    for (service_type, network) in SERVICE_TYPES {
        for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P256_SHA256] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let issued = pki.issue_for(service_type, "node-a.example.org", key);
            let (answer, certificate) = (&issued.answer, &issued.certificate);
            certificate.assert_is_a_leaf();
            assert_eq!(certificate.uris(), [spiffe_id(service_type, "node-a.example.org")]);
            assert_eq!(certificate.common_name().as_deref(), Some("node-a.example.org"));
            assert_eq!(certificate.spki(), rcgen::PublicKeyData::subject_public_key_info(&issued.key));
            assert_eq!(answer["serial"], certificate.serial());
            assert_eq!(answer["fingerprint"], certificate.fingerprint());
            assert_eq!(certificate.serial().len(), 32);
            let chain: Vec<Certificate> = answer["chain"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pem| Certificate::from_pem(pem.as_str().unwrap()))
                .collect();
            let names: Vec<_> = chain.iter().map(|ca| ca.common_name().unwrap()).collect();
            assert_eq!(names, [format!("Catalyst {network} CA"), "Catalyst Root CA".into()]);
            assert_eq!(certificate.issuer_name(), names[0]);
        }
    }
    pki.logged("Certificate issued", &spiffe_id("envoy/transport", "node-a.example.org"));
}

#[test]
fn a_csr_of_openssl_is_taken_with_every_digest_of_sha_2() {
    let pki = Pki::dev();
    for curve in ["EC:P-384", "EC:P-256"] {
        for digest in ["-sha256", "-sha384", "-sha512"] {
            let uri = format!("URI:{}", spiffe_id("gateway", "gw-1"));
            let csr = Openssl::new(curve).digest(digest).names(&[&uri, "DNS:gw-1"]).pem();
            ok(&pki.sign("gateway", "gw-1", &csr));
        }
    }
}

#[test]
fn renewal_is_due_at_half_life_give_or_take_a_tenth() {
    let pki = Pki::dev();
    let drawn: BTreeSet<i64> = (0..8)
        .map(|_| {
            let issued = pki.issue("node", "node-a.example.org");
            let (not_before, not_after) = issued.certificate.validity();
            assert_eq!(millis(&issued.answer["expiresAt"]), i64::try_from(not_after).unwrap() * 1000);
            // In thousandths of the lifetime, which begins a minute after notBefore.
            let begin = i64::try_from(not_before + 60).unwrap() * 1000;
            let lifetime = i64::try_from(lifetime(&issued.certificate)).unwrap() * 1000;
            (millis(&issued.answer["renewAfter"]) - begin) * 1000 / lifetime
        })
        .collect();
    assert!(drawn.len() > 1, "no jitter: {drawn:?}");
    assert!(drawn.iter().all(|share| (449..=551).contains(share)), "{drawn:?}");
}

#[test]
fn a_lifetime_is_the_one_asked_for_else_the_configured_one() {
    let directory = TempDir::new().unwrap();
    let pki = Pki::initialized(launch_in(directory.path()).env("CATALYST_PKI_SVID_TTL", "900"));
    assert_eq!(lifetime(&pki.issue("node", "n1").certificate), 900);
    for seconds in [1, 60, 86_400] {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let csr = csr::of(&key, &[&spiffe_id("node", "n1")], &[]);
        let body = json!({"csrPem": csr, "serviceType": "node", "instanceId": "n1", "ttlSeconds": seconds});
        let answer = ok(&pki.post("/pki/csr/sign", &body));
        let certificate = Certificate::from_pem(answer["certificatePem"].as_str().unwrap());
        assert_eq!(lifetime(&certificate), seconds);
    }
}

#[test]
fn a_certificate_lives_a_day_in_dev_and_an_hour_otherwise() {
    assert_eq!(lifetime(&Pki::dev().issue("node", "n1").certificate), 86_400);
    let directory = TempDir::new().unwrap();
    assert_eq!(
        lifetime(&Pki::initialized(launch_in(directory.path())).issue("node", "n1").certificate),
        3_600
    );
}

#[test]
fn each_type_has_its_alias_beside_the_instance_id() {
    let pki = Pki::dev();
    let names = |service_type| pki.issue(service_type, "node-a.example.org").certificate.dns_names();
    assert_eq!(names("orchestrator"), ["node-a.example.org", "orch-node-a"]);
    assert_eq!(names("auth"), ["node-a.example.org", "auth"]);
    assert_eq!(names("node"), ["node-a.example.org"]);
    assert_eq!(names("gateway"), ["node-a.example.org"]);
    assert_eq!(names("envoy/app"), ["node-a.example.org", "envoy-proxy-node-a"]);
    assert_eq!(names("envoy/transport"), ["node-a.example.org", "envoy-proxy-node-a"]);
    // `auth` is shared on purpose.
    assert_eq!(
        pki.issue("auth", "node-b.example.org").certificate.dns_names(),
        ["node-b.example.org", "auth"]
    );
}

#[test]
fn an_alias_of_another_instance_is_left_out_unless_it_is_asked_for() {
    let pki = Pki::dev();
    pki.issue("orchestrator", "node-a.example.org");
    let namesake = pki.issue("orchestrator", "node-a.example.net");
    assert_eq!(namesake.certificate.dns_names(), ["node-a.example.net"]);
    let line = pki.logged("DNS alias left out — it belongs to another instance", "orch-node-a");
    assert_eq!((line.level.as_str(), line.property("owner")), ("warn", Some("node-a.example.org")));
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = csr::of(&key, &[&spiffe_id("orchestrator", "node-a.example.net")], &["orch-node-a"]);
    let sentence = refused(&pki.sign("orchestrator", "node-a.example.net", &csr), 422, "name_taken");
    assert!(sentence.contains("orch-node-a") && sentence.contains("node-a.example.org"), "{sentence}");
}

#[test]
fn an_operators_pattern_gives_names_that_stay_with_their_first_owner() {
    let patterns = "node={short}.mesh.local,gateway=*.gw.example,node={instance}.alt.example";
    let pki = Pki::dev_with(|launch| launch.env("CATALYST_PKI_DNS_NAMES", patterns));
    let ask = |service_type: &str, instance: &str, names: &[&str]| {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        pki.sign(service_type, instance, &csr::of(&key, &[&spiffe_id(service_type, instance)], names))
    };
    let mine = ["node-a.mesh.local", "node-a.example.org.alt.example"];
    let answer = ok(&ask("node", "node-a.example.org", &mine));
    let certificate = Certificate::from_pem(answer["certificatePem"].as_str().unwrap());
    assert_eq!(certificate.dns_names(), ["node-a.example.org", mine[0], mine[1]]);
    ok(&ask("gateway", "gw-1", &["shop.gw.example"]));
    for (service_type, name) in [
        ("node", "node-b.mesh.local"),
        ("gateway", "a.b.gw.example"),
        ("gateway", "gw.example"),
        ("node", "shop.gw.example"),
    ] {
        refused(&ask(service_type, "node-a.example.org", &[name]), 422, "name_not_allowed");
    }
    // The names have an owner, whoever else the pattern would allow them to, until an operator releases them.
    refused(&ask("gateway", "gw-2", &["shop.gw.example"]), 422, "name_taken");
    refused(&ask("node", "node-a.example.net", &["node-a.mesh.local"]), 422, "name_taken");
    refused(&ask("gateway", "shop.gw.example", &[]), 422, "name_taken");
    ok(&pki.post("/pki/identities/release", &json!({"dnsName": "shop.gw.example"})));
    ok(&ask("gateway", "gw-2", &["shop.gw.example"]));
    refused(&pki.post("/pki/identities/release", &json!({"dnsName": "nobody.example"})), 404, "not_found");
}

#[test]
fn an_instance_id_too_long_for_a_subject_leaves_it_empty() {
    let pki = Pki::dev();
    let labels = |last: usize| format!("{}.{}", "a".repeat(40), "b".repeat(last));
    let (fits, too_long) = (labels(23), labels(24));
    let issued = pki.issue("node", &fits);
    assert_eq!(issued.certificate.common_name(), Some(fits));
    assert!(!issued.certificate.names_are_critical());
    let issued = pki.issue("orchestrator", &too_long);
    issued.certificate.assert_is_a_leaf();
    assert!(issued.certificate.tbs().subject().is_empty());
    assert!(issued.certificate.names_are_critical());
    // Its alias is `orch-` and its first label, still a DNS name.
    assert_eq!(issued.certificate.dns_names()[0], too_long);
    assert_eq!(issued.certificate.dns_names().len(), 2);
}

#[test]
fn a_keypair_is_answered_once_and_kept_nowhere() {
    let pki = Pki::dev();
    let answer = pki.post(
        "/pki/keypair",
        &json!({"serviceType": "envoy/app", "instanceId": "proxy-1", "ttlSeconds": 600}),
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = ok(&answer);
    let certificate = Certificate::from_pem(answer["certificatePem"].as_str().unwrap());
    certificate.assert_is_a_leaf();
    assert_eq!(certificate.uris(), [spiffe_id("envoy/app", "proxy-1")]);
    assert_eq!(lifetime(&certificate), 600);
    let secret = answer["privateKeyPem"].as_str().unwrap();
    let directory = TempDir::new().unwrap();
    let (key, public) = (directory.path().join("key.pem"), directory.path().join("public.der"));
    fs::write(&key, secret).unwrap();
    let (key, out) = (key.to_str().unwrap(), public.to_str().unwrap());
    openssl(&["pkey", "-in", key, "-pubout", "-outform", "DER", "-out", out]).unwrap();
    assert_eq!(fs::read(public).unwrap(), certificate.spki());
    let line = secret.lines().nth(1).unwrap();
    assert!(!pki.service.log().contains(line));
    for file in
        fs::read_dir(pki.service.data_dir()).unwrap().map(Result::unwrap).filter(|file| file.path().is_file())
    {
        let bytes = fs::read(file.path()).unwrap();
        assert!(!bytes.windows(line.len()).any(|window| window == line.as_bytes()), "{:?}", file.path());
    }
    let refusal = pki.post("/pki/keypair", &json!({"serviceType": "node", "instanceId": "orch-a"}));
    refused(&refusal, 422, "identity_not_allowed");
}

#[test]
fn an_identity_renews_with_its_key_or_a_new_one_and_the_old_certificate_lives_on() {
    let pki = Pki::dev();
    let first = pki.issue("node", "n1");
    let uri = spiffe_id("node", "n1");
    let again = ok(&pki.sign("node", "n1", &csr::of(&first.key, &[&uri], &["n1"])));
    let other_key = pki.issue("node", "n1");
    let serials = [first.serial(), again["serial"].as_str().unwrap(), other_key.serial()];
    assert_eq!(serials.iter().collect::<BTreeSet<_>>().len(), 3);
    let page = ok(&pki.get(&format!("/pki/certificates?spiffeId={uri}&status=active")));
    assert_eq!(page["certificates"].as_array().unwrap().len(), 3);
}

#[test]
fn an_identity_gets_so_many_certificates_per_half_life_and_others_theirs() {
    let directory = TempDir::new().unwrap();
    let pki = Pki::initialized(launch_in(directory.path()).env("CATALYST_PKI_ISSUE_LIMIT", "2"));
    pki.issue("node", "n1");
    pki.issue("node", "n1");
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let answer = pki.sign("node", "n1", &csr::of(&key, &[&spiffe_id("node", "n1")], &[]));
    refused(&answer, 429, "issue_limit");
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1801).contains(&wait), "{wait}");
    refused(
        &pki.post("/pki/keypair", &json!({"serviceType": "node", "instanceId": "n1"})),
        429,
        "issue_limit",
    );
    assert_eq!(pki.recorded(), 2);
    pki.issue("gateway", "n1");
    pki.issue("node", "n2");
}

#[test]
fn nothing_of_a_csr_but_key_and_names_comes_into_the_certificate() {
    let pki = Pki::dev();
    let uri = format!("URI:{}", spiffe_id("node", "n1"));
    let csr = Openssl::new("EC:P-384")
        .subject("/O=Somebody Else/CN=root.example.org")
        .names(&[&uri])
        .extension("basicConstraints=critical,CA:TRUE,pathlen:3")
        .extension("keyUsage=critical,keyCertSign,cRLSign")
        .extension("extendedKeyUsage=codeSigning,OCSPSigning")
        .extension("nameConstraints=permitted;DNS:example.org")
        .extension("1.2.3.4.5=ASN1:UTF8String:hello")
        .pem();
    let answer = ok(&pki.sign("node", "n1", &csr));
    let certificate = Certificate::from_pem(answer["certificatePem"].as_str().unwrap());
    certificate.assert_is_a_leaf();
    assert_eq!(certificate.common_name().as_deref(), Some("n1"));
    assert_eq!(certificate.tbs().subject().len(), 1);
    assert_eq!(certificate.dns_names(), ["n1"]);
}

#[test]
fn an_administrator_may_name_the_identity_of_a_csr_without_uri() {
    let pki = Pki::dev();
    for csr in [Openssl::new("EC:P-384"), Openssl::new("EC:P-256").names(&["DNS:n1"])] {
        let answer = ok(&pki.sign("node", "n1", &csr.pem()));
        let certificate = Certificate::from_pem(answer["certificatePem"].as_str().unwrap());
        assert_eq!(certificate.uris(), [spiffe_id("node", "n1")]);
    }
}

#[test]
fn a_preset_system_token_is_the_administrators() {
    let directory = TempDir::new().unwrap();
    let secret = "a preset secret of thirty-two characters or more";
    let service = launch_in(directory.path()).env("CATALYST_SYSTEM_TOKEN", secret).start().unwrap();
    let ask = |client: Client| client.get("/pki/status").unwrap();
    eventually("an open token key", || {
        (service.http().get("/.well-known/jwks.json").unwrap().status == 200).then_some(())
    });
    assert_eq!(ask(service.http().with_token(secret)).status, 200);
    refused(&ask(service.http().with_token("another secret")), 401, "credential_invalid");
    assert!(!directory.path().join("system-token").exists());
    assert!(!service.log().contains(secret));
}
