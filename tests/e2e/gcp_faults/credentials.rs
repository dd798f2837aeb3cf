//! Credentials that end while the service runs.

use super::*;
use catalyst_rigs::gcp::{Binding, Grant};
use std::{fs, path::PathBuf};

const FIRST: &str = "first@p.iam.gserviceaccount.com";
const SECOND: &str = "second@p.iam.gserviceaccount.com";

/// A service account's key, as Google gives it.
fn write(file: &Path, account: &str) {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let text = json!({
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": key.serialize_pem(),
        "client_email": account,
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    });
    fs::write(file, text.to_string()).unwrap();
}

/// Only this account may do anything.
fn only(fake: &FakeKms, account: &str) {
    let permissions = ["useToSign", "viewPublicKey", "get", "list"];
    let permissions = permissions.map(|name| format!("cloudkms.cryptoKeyVersions.{name}")).into();
    let (caller, resource) = (Some(account.to_owned()), PROJECT.to_owned());
    fake.bind(&Binding { caller, grant: Grant::Permissions(permissions), resource }).unwrap();
}

/// Who asked in the last call.
fn last_caller(fake: &FakeKms) -> Option<String> {
    fake.calls().unwrap().pop().and_then(|call| call.caller)
}

#[test]
fn a_file_of_credentials_that_is_replaced_is_read_anew_when_the_old_ones_end() {
    let beside = TempDir::new().unwrap();
    let file: PathBuf = beside.path().join("account.json");
    write(&file, FIRST);
    let given = file.to_str().unwrap().to_owned();
    let cloud = Cloud::with(|launch| launch.env("CATALYST_PKI_GCP_CREDENTIALS", &given));
    assert_eq!(last_caller(&cloud.fake).as_deref(), Some(FIRST));

    // The old ones end, and nobody has put new ones there yet.
    only(&cloud.fake, SECOND);
    let sentence = refused(&ask(&cloud.pki, "node", "waits"), 503, "key_store_unavailable");
    assert!(sentence.contains("credentials are not taken any more"), "{sentence}");
    assert_eq!(cloud.status(), (1, "degraded"));

    // A file that cannot be read names itself, and nothing of what is in it.
    fs::write(&file, "not-a-key-but-a-secret").unwrap();
    let sentence = eventually("another look at the file", || {
        let (_, code, sentence) = refusal(&ask(&cloud.pki, "node", "waits"));
        (code == "key_refused_configuration").then_some(sentence)
    });
    assert!(sentence.contains(&given) && !sentence.contains("a-secret"), "{sentence}");
    assert!(!cloud.pki.service.log().contains("a-secret"));

    write(&file, SECOND);
    let (exit, stdout, stderr) = cloud.retry();
    assert_eq!(exit, 0, "{stdout}{stderr}");
    cloud.recovers();
    assert_eq!(last_caller(&cloud.fake).as_deref(), Some(SECOND));
}

#[test]
fn new_credentials_are_taken_without_anybody_doing_anything() {
    let beside = TempDir::new().unwrap();
    let file: PathBuf = beside.path().join("account.json");
    write(&file, FIRST);
    let given = file.to_str().unwrap().to_owned();
    let cloud = Cloud::with(|launch| launch.env("CATALYST_PKI_GCP_CREDENTIALS", &given));
    write(&file, SECOND);
    only(&cloud.fake, SECOND);
    cloud.issues("node", "nobody-notices");
    cloud.issues("envoy/app", "nobody-notices");
    assert_eq!(last_caller(&cloud.fake).as_deref(), Some(SECOND));
    assert_eq!(cloud.warnings(), [""; 0]);
}

#[test]
fn a_metadata_server_that_is_away_keeps_nothing_down_for_good() {
    let cloud = Cloud::new();
    // Another port of this machine, where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cloud = cloud.restarted(|launch| launch.env("GCE_METADATA_HOST", &nobody.to_string()));
    let sentence = eventually("a look for credentials", || {
        let (status, code, sentence) = refusal(&ask(&cloud.pki, "node", "waits"));
        assert!(status == 503 && code.starts_with("key_store_"), "{status} {code}: {sentence}");
        sentence.contains("the Google credentials could not be had").then_some(sentence)
    });
    assert!(sentence.contains("gcp-kms"), "{sentence}");
    assert_eq!(cloud.status(), (1, "degraded"));
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
    let cloud = cloud.restarted(|launch| launch);
    cloud.recovers();
}
