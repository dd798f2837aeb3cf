//! Several ways into Cloud KMS at once (`[gcp-kms.<name>]`).

use super::{RING, at_hand, beside, calls_from, in_project, key_uris, keys, version, warnings};
use crate::pki::Pki;
use catalyst_rigs::{Launch, catalyst};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

const OTHER_RING: &str = "projects/q/locations/us-east1/keyRings/transport";

/// A service account's key, with which it signs its own tokens.
pub(super) fn account(beside: &TempDir, name: &str) -> String {
    let key = catalyst_rigs::checkers::openssl(&["genpkey", "-algorithm", "RSA"]).unwrap();
    let email = format!("{name}@q.iam.gserviceaccount.com");
    let text = json!({"type": "service_account", "client_email": email, "private_key_id": "1",
        "private_key": key, "project_id": "q"});
    let path = beside.path().join(format!("{name}.json"));
    fs::write(&path, text.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn roles_have_projects_protection_levels_and_accounts_of_their_own() {
    let fake = at_hand();
    fake.ring(OTHER_RING).unwrap();
    let (data_dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let settings = format!(
        "key_backend = 'gcp-kms'\nkey_backend_transport = 'gcp-kms:us'\n\
         [gcp-kms]\nkey_name_transport = '{OTHER_RING}'\n\
         [gcp-kms.us]\nprotection = 'software'\ncredentials = '{}'\nendpoint = '{}'\n",
        account(&files, "us"),
        fake.endpoint()
    );
    let path = files.path().join("settings.toml");
    fs::write(&path, settings).unwrap();
    let launch = || {
        in_project(Launch::new(&catalyst().unwrap(), data_dir.path()), &fake)
            .arg("--config")
            .arg(path.to_str().unwrap())
    };
    let mut pki = Pki::initialized(launch());
    pki.issue("node", "n1");
    pki.issue("envoy/app", "n1");
    let transport = version(&key_uris(&pki)[2]);
    assert!(transport.starts_with(&format!("{OTHER_RING}/cryptoKeys/transport-1-")), "{transport}");
    assert_eq!(beside(&fake, &transport)["protectionLevel"], "SOFTWARE");
    assert_eq!(keys(&fake).len(), 3, "root, services and tokens");
    // Each asks about its own alone.
    for call in calls_from(&fake, 0) {
        let is_of_us = call.resource.starts_with(OTHER_RING);
        let caller = call.caller.as_deref().unwrap();
        assert_eq!(caller == "us@q.iam.gserviceaccount.com", is_of_us, "{call:?}");
        assert!(is_of_us || call.resource.starts_with(RING), "{call:?}");
    }
    assert_eq!(warnings(&pki), [""; 0]);
    let uris = key_uris(&pki);
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());
    assert!(!pki.service.log().contains("PRIVATE KEY"), "{}", pki.service.log());

    let again = Pki::start(launch()).ready();
    assert_eq!(key_uris(&again), uris);
    again.issue("envoy/app", "n2");
}
