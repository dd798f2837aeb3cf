//! What the page of key stores says of them.

use super::*;
use catalyst_signing::{KeyUri, SignatureAlgorithm};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/backends/README.md");

type Variables = &'static [(&'static str, &'static str)];

/// The columns of the table: a key store, its settings and a key in it.
const COLUMNS: [(&str, &str, Variables, &str); 5] = [
    (
        "`local`",
        "local",
        &[("CATALYST_PKI_LOCAL_PASSPHRASE", "correct horse battery staple")],
        "local:root-1",
    ),
    (
        "`aws-kms`",
        "aws-kms",
        &[("CATALYST_PKI_AWS_REGION", "eu-central-1")],
        "awskms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
    ("`gcp-kms`, `hsm`", "gcp-kms", &[], GCP_KEY),
    ("`gcp-kms`, `software`", "gcp-kms", &[("CATALYST_PKI_GCP_PROTECTION", "software")], GCP_KEY),
    (
        "`pkcs11`",
        "pkcs11",
        &[
            ("CATALYST_PKI_PKCS11_MODULE", "/nowhere/module.so"),
            ("CATALYST_PKI_PKCS11_TOKEN", "ca"),
            ("CATALYST_PKI_PKCS11_PIN", "123456"),
        ],
        "pkcs11:serial=1;id=%01",
    ),
];
const GCP_KEY: &str = "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";

#[test]
fn the_page_says_what_each_can_do() {
    let directory = TempDir::new().unwrap();
    let keys = directory.path().join("keys").display().to_string();
    let stores = COLUMNS.map(|(_, name, vars, key)| {
        let vars = [vars, &[("CATALYST_PKI_LOCAL_KEYS", keys.as_str())]].concat();
        let store = open_one(&settings(None, &vars).unwrap(), name).unwrap();
        (store, KeyUri::parse(key).unwrap())
    });
    let line = |first: &str, cells: [String; 5]| format!("| {first} | {} |\n", cells.join(" | "));
    let mut table = line("algorithm", COLUMNS.map(|(title, ..)| title.to_owned()));
    table.push_str(&format!("|{}\n", " --- |".repeat(6)));
    for algorithm in SignatureAlgorithm::ALL {
        let cell = |(store, _): &(Arc<dyn SigningBackend>, KeyUri)| {
            let known = store.capabilities().iter().find(|known| known.algorithm == *algorithm);
            match known {
                None => "no".to_owned(),
                Some(known) => {
                    assert!(known.creates && store.lifecycle().is_some());
                    known.max_message.map_or("yes".to_owned(), |most| most.to_string())
                }
            }
        };
        table.push_str(&line(algorithm.name(), stores.each_ref().map(cell)));
    }
    let rate = |(store, key): &(Arc<dyn SigningBackend>, KeyUri)| {
        store.quota(key).per_second.map_or("any".to_owned(), |most| most.to_string())
    };
    table.push_str(&line("calls a second", stores.each_ref().map(rate)));
    let page = fs::read_to_string(PAGE).unwrap();
    assert!(page.contains(&format!("<!-- capabilities -->\n{table}\n")), "{PAGE} does not say:\n{table}");
}
