//! Two deployments in one key ring.

use super::*;
use crate::auth_cli::done;

#[test]
fn neither_sees_or_adopts_the_others_keys() {
    let fake = fake();
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let first = initialized(launch(directories[0].path(), &fake));
    // The second one loses the answer to a key, so that it has to look for it.
    fake.add(calling(Method::CreateCryptoKey), When::Nth(2), Effect::LoseAnswer).unwrap();
    let second = initialized(launch(directories[1].path(), &fake));
    fake.clear().unwrap();
    let pkis = [first, second];
    let uris = pkis.each_ref().map(key_uris);
    assert!(uris[0].iter().all(|uri| !uris[1].contains(uri)), "{uris:?}");
    let calls = fake.calls().unwrap();
    let made = calls.iter().filter(|call| call.method == Method::CreateCryptoKey && call.acted);
    assert_eq!(made.count(), 8);
    for pki in &pkis {
        let issued = pki.issue("node", "n1");
        verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
        let unclaimed = done(&pki.service, &["pki", "keys", "reconcile", "--output", "json"]);
        let unclaimed: serde_json::Value = serde_json::from_str(&unclaimed).unwrap();
        assert_eq!(unclaimed, json!({"keys": [], "unread": []}));
    }
}
