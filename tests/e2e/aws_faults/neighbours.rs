//! Two deployments in one account and Region.

use super::*;
use crate::auth_cli::done;

#[test]
fn neither_sees_or_adopts_the_others_keys() {
    let proxy = FaultProxy::at_hand().unwrap();
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let first = initialized(launch(directories[0].path(), &proxy));
    // The second one loses the answer to its first key, so that it has to look for it among all.
    let lost = proxy.script(When::calling("CreateKey").nth(2), Fault::AnswerLost);
    let second = initialized(launch(directories[1].path(), &proxy));
    proxy.lift(lost);
    let pkis = [first, second];
    let uris = pkis.each_ref().map(key_uris);
    assert!(uris[0].iter().all(|uri| !uris[1].contains(uri)), "{uris:?}");
    let aliases = proxy.localstack().caller(REGION).ask("ListAliases", &json!({})).unwrap();
    let aliases = aliases["Aliases"].as_array().unwrap().iter();
    let own = aliases.filter(|alias| {
        alias["AliasName"].as_str().is_some_and(|name| name.starts_with("alias/catalyst-pki/"))
    });
    assert_eq!(own.count(), 8);
    for pki in &pkis {
        let issued = pki.issue("node", "n1");
        verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
        let unclaimed = done(&pki.service, &["pki", "keys", "reconcile", "--output", "json"]);
        let unclaimed: serde_json::Value = serde_json::from_str(&unclaimed).unwrap();
        assert_eq!(unclaimed, json!({"keys": [], "unread": []}));
    }
}
