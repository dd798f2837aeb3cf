//! Denying an identity, lifting it, and what the lists show.

use crate::{
    csr,
    pki::{Pki, eventually, ok, refused, spiffe_id},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use x509_cert::ext::pkix::CrlReason;

fn renew(pki: &Pki, instance: &str, key: &rcgen::KeyPair) -> catalyst_rigs::http::Response {
    pki.sign("node", instance, &csr::of(key, &[&spiffe_id("node", instance)], &[]))
}

#[test]
fn a_denied_identity_cannot_renew_until_it_is_allowed_again() {
    let pki = Pki::dev();
    let (id, issued) = (spiffe_id("node", "n1"), pki.issue("node", "n1"));
    let second = pki.issue("node", "n1");
    let other = pki.issue("node", "n2");
    let before = pki.crl("services").number();

    let denied = pki.deny(&id, false);
    assert_eq!((&denied["success"], &denied["crlPending"]), (&json!(true), &json!(false)));
    let expiring = denied["expiringCerts"].as_array().unwrap();
    let serials: BTreeSet<&str> = expiring.iter().map(|one| one["serial"].as_str().unwrap()).collect();
    assert_eq!(serials, BTreeSet::from([issued.serial(), second.serial()]));
    let first = expiring.iter().find(|one| one["serial"] == issued.serial()).unwrap();
    assert_eq!(first["expiresAt"], issued.answer["expiresAt"]);
    let line = pki.logged("Identity denied", &id);
    assert_eq!((line.level.as_str(), line.property("reason")), ("warn", Some("stolen laptop")));

    assert_eq!(
        refused(&renew(&pki, "n1", &issued.key), 403, "identity_denied"),
        format!("Identity denied: {id}")
    );
    let fresh = pki.post("/pki/keypair", &json!({"serviceType": "node", "instanceId": "n1"}));
    refused(&fresh, 403, "identity_denied");
    pki.logged("CSR signing denied — identity is on the deny list", &id);
    // Another type of the same instance is another identity.
    pki.issue("gateway", "n1");

    let held = pki.crl("services");
    assert!(held.number() > before);
    for serial in serials {
        assert_eq!(held.reason_for(serial), Some(CrlReason::CertificateHold));
        assert_eq!(pki.status_of(serial), "held");
    }
    assert_eq!(held.reason_for(other.serial()), None);
    assert_eq!(pki.crl("transport").entries(), []);

    assert_eq!(pki.allow(&id)["success"], true);
    let lifted = pki.crl("services");
    assert!(lifted.number() > held.number());
    assert_eq!(lifted.entries(), []);
    assert_eq!(pki.status_of(issued.serial()), "active");
    ok(&renew(&pki, "n1", &issued.key));
    refused(&pki.post("/pki/identities/allow", &json!({"spiffeId": id})), 404, "not_found");
}

#[test]
fn a_compromised_identity_loses_its_certificates_and_its_key_for_good() {
    let pki = Pki::dev();
    let (id, issued) = (spiffe_id("node", "n1"), pki.issue("node", "n1"));
    // What is only held at first is revoked when it turns out worse, and not the other way round.
    pki.deny(&id, false);
    pki.deny(&id, true);
    assert_eq!(pki.crl("services").reason_for(issued.serial()), Some(CrlReason::KeyCompromise));
    pki.deny(&id, false);
    let denied = pki.crl("services");
    assert_eq!(denied.reason_for(issued.serial()), Some(CrlReason::KeyCompromise));
    assert_eq!(pki.status_of(issued.serial()), "revoked");

    pki.allow(&id);
    let allowed = pki.crl("services");
    assert_eq!(allowed.reason_for(issued.serial()), Some(CrlReason::KeyCompromise));
    assert_eq!(pki.status_of(issued.serial()), "revoked");
    refused(&renew(&pki, "n1", &issued.key), 422, "key_revoked");
    refused(&renew(&pki, "n2", &issued.key), 422, "key_revoked");
    pki.issue("node", "n1");
}

#[test]
fn a_revoked_certificate_stays_on_the_crl_with_its_reason() {
    let pki = Pki::dev();
    let reasons = [
        (json!({}), CrlReason::Unspecified),
        (json!({"reason": "unspecified"}), CrlReason::Unspecified),
        (json!({"reason": "keyCompromise"}), CrlReason::KeyCompromise),
        (json!({"reason": "cACompromise"}), CrlReason::CaCompromise),
        (json!({"reason": "superseded"}), CrlReason::Superseded),
        (json!({"reason": "cessationOfOperation"}), CrlReason::CessationOfOperation),
    ];
    let mut last = pki.crl("transport").number();
    for (body, reason) in reasons {
        let issued = pki.issue("envoy/transport", "proxy-1");
        let path = format!("/pki/certificates/{}/revoke", issued.serial());
        assert_eq!(ok(&pki.post(&path, &body)), json!({"success": true, "crlPending": false}));
        let crl = pki.crl("transport");
        assert!(crl.number() > last, "CRL numbers rise");
        last = crl.number();
        assert_eq!(crl.reason_for(issued.serial()), Some(reason));
        assert_eq!(pki.status_of(issued.serial()), "revoked");
        // Once more changes nothing, and another reason is not taken for one that holds.
        ok(&pki.post(&path, &body));
        let other = if reason == CrlReason::Superseded { "keyCompromise" } else { "superseded" };
        refused(&pki.post(&path, &json!({"reason": other})), 409, "conflict");
        assert_eq!(pki.crl("transport").reason_for(issued.serial()), Some(reason));
    }
    assert_eq!(pki.crl("transport").entries().len(), 6);
    assert_eq!(pki.crl("services").entries(), []);
    // The identity itself is not denied.
    pki.issue("envoy/transport", "proxy-1");
}

#[test]
fn status_counts_what_lives_and_who_is_denied() {
    let pki = Pki::dev();
    let counts = || {
        let status = ok(&pki.get("/pki/status"));
        (status["activeCertCount"].as_u64().unwrap(), status["deniedIdentityCount"].as_u64().unwrap())
    };
    assert_eq!(counts(), (0, 0));
    let issued: Vec<_> = (0..4).map(|i| pki.issue("node", &format!("n{i}"))).collect();
    assert_eq!(counts(), (4, 0));
    pki.deny(&spiffe_id("node", "n0"), false);
    assert_eq!(counts(), (3, 1));
    // Somebody who never had a certificate can be denied as well.
    pki.deny(&spiffe_id("gateway", "never-seen"), true);
    assert_eq!(counts(), (3, 2));
    ok(&pki.post(&format!("/pki/certificates/{}/revoke", issued[1].serial()), &json!({})));
    assert_eq!(counts(), (2, 2));
    let denied = ok(&pki.get("/pki/identities/denied"));
    let rows = denied.as_array().unwrap();
    let who: BTreeSet<&str> = rows.iter().map(|row| row["spiffeId"].as_str().unwrap()).collect();
    assert_eq!(who, BTreeSet::from([&*spiffe_id("node", "n0"), &*spiffe_id("gateway", "never-seen")]));
    for row in rows {
        assert_eq!(row["reason"], "stolen laptop");
        assert!(row["deniedAt"].is_i64() && row.as_object().unwrap().len() == 3, "{row}");
    }
    pki.allow(&spiffe_id("node", "n0"));
    assert_eq!(counts(), (3, 1));
    let metrics = pki.service.http().get("/metrics").unwrap().text();
    assert!(metrics.contains("catalyst_pki_deny_list_size"), "{metrics}");
}

fn page(pki: &Pki, query: &str) -> (Vec<Value>, Option<String>) {
    let page = ok(&pki.get(&format!("/pki/certificates?{query}")));
    let cursor = page["nextCursor"].as_str().map(str::to_owned);
    (page["certificates"].as_array().unwrap().clone(), cursor)
}

#[test]
fn certificates_are_listed_newest_first_in_pages_and_by_filter() {
    let pki = Pki::dev();
    let issued: Vec<_> = (0..5).map(|i| pki.issue("node", &format!("n{i}"))).collect();
    let (all, cursor) = page(&pki, "");
    assert_eq!((all.len(), cursor), (8, None));
    let newest: Vec<&str> = all[..5].iter().map(|row| row["serial"].as_str().unwrap()).collect();
    let expected: Vec<&str> = issued.iter().rev().map(|one| one.serial()).collect();
    assert_eq!(newest, expected);
    let types: Vec<&str> = all[5..].iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(BTreeSet::from_iter(types), BTreeSet::from(["root-ca", "services-ca", "transport-ca"]));
    assert_eq!(all[7]["spiffeId"], Value::Null);

    let mut collected = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let (rows, cursor) = page(&pki, &query);
        collected.extend(rows);
        // A certificate that comes in meanwhile moves no page.
        pki.issue("gateway", &format!("late-{}", collected.len()));
        match cursor {
            Some(cursor) => query = format!("limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(collected, all);
    assert_eq!(page(&pki, "limit=3&cursor=1").0, Vec::<Value>::new());

    pki.deny(&spiffe_id("node", "n0"), false);
    pki.deny(&spiffe_id("node", "n1"), true);
    let serials = |query: &str| {
        let rows = page(&pki, query).0;
        rows.iter().map(|row| row["serial"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(serials("status=held"), [issued[0].serial()]);
    assert_eq!(serials("status=revoked"), [issued[1].serial()]);
    assert_eq!(serials("status=expired"), Vec::<String>::new());
    assert_eq!(serials(&format!("spiffeId={}", spiffe_id("node", "n2"))), [issued[2].serial()]);
    assert_eq!(serials(&format!("spiffeId={}&status=held", spiffe_id("node", "n2"))), Vec::<String>::new());
    assert_eq!(serials(&format!("spiffeId={}", spiffe_id("node", "never-seen"))), Vec::<String>::new());

    // One certificate, by serial number in any writing, or by fingerprint.
    let one = ok(&pki.get(&format!("/pki/certificates/{}", issued[3].serial())));
    assert_eq!(one["certificatePem"], issued[3].answer["certificatePem"]);
    assert_eq!(one["fingerprint"], issued[3].answer["fingerprint"]);
    let fingerprint = one["fingerprint"].as_str().unwrap();
    assert_eq!(ok(&pki.get(&format!("/pki/certificates/{fingerprint}"))), one);
    assert_eq!(ok(&pki.get(&format!("/pki/certificates/{}", issued[3].serial().to_uppercase()))), one);
}

#[test]
fn a_purge_takes_nothing_that_expired_only_now() {
    let pki = Pki::dev();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = csr::of(&key, &[&spiffe_id("node", "brief")], &[]);
    let body = json!({"csrPem": csr, "serviceType": "node", "instanceId": "brief", "ttlSeconds": 1});
    let serial = ok(&pki.post("/pki/csr/sign", &body))["serial"].as_str().unwrap().to_owned();
    eventually("its end", || (pki.status_of(&serial) == "expired").then_some(()));
    assert_eq!(ok(&pki.post("/pki/certificates/purge", &json!({}))), json!({"purgedCount": 0}));
    assert_eq!(page(&pki, "status=expired").0.len(), 1);
    pki.logged("Expired certificates purged", "\"count\":0");
    // The name stays its owner's, and the key is free for its owner and, now, for others.
    pki.issue("node", "brief");
    ok(&pki.sign("node", "other", &crate::csr::of(&key, &[&spiffe_id("node", "other")], &[])));
    // Denying names only what still lives.
    let denied = pki.deny(&spiffe_id("node", "brief"), false);
    assert_eq!(denied["expiringCerts"].as_array().unwrap().len(), 1);
    assert_eq!(pki.crl("services").reason_for(&serial), None);
}
