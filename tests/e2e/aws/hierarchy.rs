//! Every key of a service in AWS KMS.

use super::{beside, id, key_uris, keys, launch_on, operations, warnings};
use crate::{
    auth_cli::done,
    checkers::{Exhibits, Eyes, everything_passes},
    pki::{Issued, Pki, eventually, ok, spiffe_id},
    renewal::{SCHEME, proof, renew, request},
    secrets::files_below,
};
use catalyst_rigs::{aws::FaultProxy, scan::Scanner};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use tempfile::TempDir;

fn initialized(data_dir: &Path, proxy: &FaultProxy) -> Pki {
    let pki = Pki::start(launch_on(data_dir, proxy));
    done(&pki.service, &["pki", "init", "--with-intermediates"]);
    pki.ready()
}

#[test]
fn a_hierarchy_in_aws_kms_passes_every_checker() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &proxy);
    everything_passes(&Exhibits::of(pki, data_dir), Eyes::Most);
}

#[test]
fn keys_in_aws_kms_are_there_after_a_restart_and_leave_no_secret_behind() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let mut pki = initialized(data_dir.path(), &proxy);
    let (uris, bundle) = (key_uris(&pki), pki.bundle());
    assert_eq!(keys(&proxy).len(), 4, "root, services, transport and the one that signs tokens");
    for uri in &uris {
        assert!(keys(&proxy).contains(&uri.replacen("awskms:", "", 1)), "{uri}");
    }
    let first = pki.issue("node", "n1");
    let (key, csr) = request("node", "n1");
    let renewed = Issued::of(key, ok(&renew(&pki, SCHEME, &proof(&first, &csr), "n1", &csr)));
    ok(&pki.post(
        &format!("/pki/certificates/{}/revoke", renewed.serial()),
        &json!({"reason": "keyCompromise"}),
    ));
    eventually("the CRL", || pki.crl("services").reason_for(renewed.serial()));
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    has_no_secret(&pki, &proxy);

    proxy.forget_calls();
    let mut again = Pki::start(launch_on(data_dir.path(), &proxy)).ready();
    assert_eq!((key_uris(&again), again.bundle()), (uris, bundle));
    // The token key is the same too: what it signed before is taken.
    assert_eq!(again.token, pki.token);
    again.issue("node", "n2");
    again.issue("envoy/app", "n2");
    assert!(again.crl("services").reason_for(renewed.serial()).is_some());
    assert_eq!((proxy.count("CreateKey"), keys(&proxy).len()), (0, 4));
    assert_eq!(ok(&again.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
    assert!(again.service.stop().unwrap().success(), "{}", again.service.log());
    has_no_secret(&again, &proxy);
}

#[test]
fn a_certificate_costs_one_call_and_all_else_on_its_way_none() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &proxy);
    let [_, services, transport] = key_uris(&pki).map(|uri| id(&uri));
    let first = pki.issue("node", "n0");
    pki.issue("envoy/app", "n0");
    // Both have signed; the keys' states are asked for once a minute.
    proxy.forget_calls();
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
    let calls: Vec<_> = proxy.calls().into_iter().filter(|call| call.operation != "DescribeKey").collect();
    assert_eq!(operations(&calls), ["Sign"; 21]);
    let by = |key: &str| calls.iter().filter(|call| call.key.as_deref() == Some(key)).count();
    assert_eq!((by(&services), by(&transport)), (11, 10));

    // A denial signs a CRL at once, and that once.
    proxy.forget_calls();
    pki.deny(&spiffe_id("node", "n1"), true);
    eventually("the CRL", || (!pki.crl("services").entries().is_empty()).then_some(()));
    assert_eq!(proxy.count("Sign"), 1);
}

#[test]
fn keys_say_what_they_are_for_in_tags_and_aliases() {
    let proxy = FaultProxy::at_hand().unwrap();
    let data_dir = TempDir::new().unwrap();
    let pki = initialized(data_dir.path(), &proxy);
    let caller = beside(&proxy);
    let aliases = caller.ask("ListAliases", &json!({"Limit": 100})).unwrap();
    let (mut roles, mut deployments) = (BTreeMap::new(), BTreeSet::new());
    for arn in keys(&proxy) {
        let listed = caller.ask("ListResourceTags", &json!({"KeyId": arn})).unwrap();
        let tags: BTreeMap<&str, &str> = listed["Tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| (tag["TagKey"].as_str().unwrap(), tag["TagValue"].as_str().unwrap()))
            .collect();
        let names: Vec<&str> = tags.keys().copied().collect();
        assert_eq!(
            names,
            ["catalyst-pki:deployment", "catalyst-pki:generation", "catalyst-pki:nonce", "catalyst-pki:role"]
        );
        let [whose, generation, nonce, role] =
            [names[0], names[1], names[2], names[3]].map(|name| tags[name]);
        assert_eq!((generation, nonce.len(), whose.len()), ("1", 32, 16));
        deployments.insert(whose.to_owned());
        let alias = format!("alias/catalyst-pki/{whose}/{role}-1");
        let led =
            aliases["Aliases"].as_array().unwrap().iter().find(|one| one["AliasName"] == alias.as_str());
        assert_eq!(led.unwrap()["TargetKeyId"], id(&arn), "{alias}");
        roles.insert(role.to_owned(), format!("awskms:{arn}"));
    }
    assert_eq!(roles.keys().collect::<Vec<_>>(), ["root", "services", "token", "transport"]);
    assert_eq!(["root", "services", "transport"].map(|role| roles[role].clone()), key_uris(&pki));
    assert_eq!((deployments.len(), warnings(&pki).len()), (1, 0), "{:?}", warnings(&pki));
}

/// Neither the credentials nor a private key is in the data directory, nor the credentials in what was said.
fn has_no_secret(pki: &Pki, proxy: &FaultProxy) {
    let mut scanner = Scanner::default();
    for (name, value) in proxy.localstack().credentials() {
        if name == "AWS_SECRET_ACCESS_KEY" {
            scanner.add("secret access key", value.as_bytes());
        }
    }
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
