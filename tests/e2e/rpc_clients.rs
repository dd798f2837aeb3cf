//! `/rpc` with the reference implementation, of the version that is deployed and of the newest: `tests/rpc` has what
//! they do.

use crate::{
    pki::{Pki, ok, spiffe_id},
    tls::{dev, shown_own},
    tokens::csr,
};
use catalyst_rigs::{CAPNWEB_CLIENTS, capnweb_suite};
use serde_json::{Map, Value, json};
use std::{fs, path::Path, thread, time::Duration};
use tempfile::TempDir;

/// Runs a suite against this service with both clients. Each gets an input of its own.
#[track_caller]
fn suite(name: &str, input: impl Fn(&Pki) -> Value, afterwards: impl Fn(&Pki, &Value)) {
    for client in CAPNWEB_CLIENTS {
        let pki = Pki::dev();
        let mut input = input(&pki);
        input["url"] = format!("http://{}", pki.service.address()).into();
        run(name, client, &pki, &mut input, None);
        afterwards(&pki, &input);
        pki.still_works();
    }
}

#[track_caller]
fn run(name: &str, client: &str, pki: &Pki, input: &mut Value, ca: Option<&Path>) {
    input["token"] = pki.token.clone().into();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rpc/{name}.mjs"));
    match capnweb_suite(&path, client, input, ca) {
        Ok(printed) => println!("{client}, {name}\n{printed}"),
        Err(error) => panic!("{error}"),
    }
}

fn request(instance: &str) -> Value {
    let id = spiffe_id("node", instance);
    json!({"csrPem": csr("node", instance), "instanceId": instance, "spiffeId": id})
}

fn csrs() -> Value {
    let ways = ["awaited", "pipelined", "batched"].map(|way| (way.to_owned(), request(&format!("n-{way}"))));
    Value::Object(Map::from_iter(ways))
}

#[test]
fn every_method_answers_deployed_clients() {
    let input = |pki: &Pki| {
        let bound = pki.issue("node", "bound");
        json!({"csrs": csrs(), "fingerprint": bound.answer["fingerprint"]})
    };
    suite("methods", input, |_, _| {});
}

#[test]
fn deployed_clients_are_refused_in_the_words_that_they_know() {
    let input = |pki: &Pki| {
        let revoked = pki.mint("gone", "ADMIN", &json!({"sans": ["gone"]}));
        ok(&pki.post("/auth/tokens/revoke", &json!({"san": "gone"})));
        let expired = pki.mint("brief", "ADMIN", &json!({"expiresIn": "1s"}));
        let issued = pki.issue("node", "n1");
        let bound =
            pki.mint("bound", "ADMIN", &json!({"certificateFingerprint": issued.answer["fingerprint"]}));
        thread::sleep(Duration::from_millis(1_100));
        json!({
            "csrs": csrs(), "revoked": revoked, "expired": expired, "bound": bound,
            "user": pki.mint("user", "USER", &json!({})),
            "node": pki.mint("node", "NODE", &json!({"entity": {"nodeId": "n1"}})),
        })
    };
    suite("errors", input, |_, _| {});
}

#[test]
fn a_revoked_token_ends_the_sockets_that_it_opened() {
    suite("revoked", |_| json!({}), |_, _| {});
}

#[test]
fn deployed_clients_come_over_tls_with_the_root_that_they_trust() {
    let directory = TempDir::new().unwrap();
    let ca = directory.path().join("bundle.pem");
    for client in CAPNWEB_CLIENTS {
        let pki = dev();
        shown_own(&pki.service);
        fs::write(&ca, pki.bundle()).unwrap();
        let mut input = json!({"url": format!("https://localhost:{}", pki.service.address().port())});
        run("revoked", client, &pki, &mut input, Some(&ca));
    }
}

#[test]
fn many_clients_and_those_that_leave_in_the_middle_are_served_whole_or_not_at_all() {
    let requests = |name: &str, count: usize| -> Vec<Value> {
        (0..count).map(|n| request(&format!("{name}-{n}"))).collect()
    };
    let input = |_: &Pki| json!({"many": requests("many", 20), "leaving": requests("leaving", 40)});
    suite("load", input, |pki, input| {
        // What goes on without its client is done soon.
        thread::sleep(Duration::from_secs(1));
        let count = |list: &str, path: &str| ok(&pki.get(path))[list].as_array().unwrap().len();
        let mut served = 0;
        for leaving in input["leaving"].as_array().unwrap() {
            let id = leaving["spiffeId"].as_str().unwrap();
            let recorded = count("certificates", &format!("/pki/certificates?spiffeId={id}"));
            let audited = count("records", &format!("/pki/audit?action=certificate.issued&subject={id}"));
            assert_eq!(recorded, audited, "{id}");
            assert!(recorded <= 1, "{id}");
            served += recorded;
        }
        println!("of 40 clients that left, {served} have a certificate");
    });
}
