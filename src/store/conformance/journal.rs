//! The journal of denials: what the audit log has for it, and what stands.

use super::fixture::*;
use crate::store::{JOURNALLED, JournalLine, RevocationReason, Store};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    lines_are_the_records_that_take_away_or_give_back(make().await.as_ref()).await;
    what_stands_is_told_without_its_history(make().await.as_ref()).await;
    the_place_never_moves_back(make().await.as_ref()).await;
}

fn told(lines: &[JournalLine]) -> Vec<(&str, &str)> {
    lines.iter().map(|line| (line.action.as_str(), line.subject.as_str())).collect()
}

async fn lines_are_the_records_that_take_away_or_give_back(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 0).await;
    let (serial, denied) = (issued.record().serial.to_string(), spiffe("n2"));
    store.deny_identity(&denied, "out", true, &stamp(1)).await.unwrap();
    store.allow_identity(&denied, &stamp(2)).await.unwrap();
    store
        .revoke_certificate(issued.record().serial, RevocationReason::KeyCompromise, &stamp(3))
        .await
        .unwrap();
    let head = store.audit_head().await.unwrap().seq;
    let piece = store.journal_after(0).await.unwrap();
    assert_eq!(piece.up_to, head);
    let expected = [
        ("identity.denied", denied.as_str()),
        ("identity.allowed", denied.as_str()),
        ("certificate.revoked", &serial),
    ];
    assert_eq!(told(&piece.lines), expected);
    let id = store.deployment().await.unwrap().id;
    assert!(piece.lines.iter().all(|line| line.deployment == id && line.seq > 0));
    assert_eq!(piece.lines[0].detail["compromised"], true);
    let revoked = &piece.lines[2];
    assert_eq!((revoked.at(), &revoked.detail["reason"]), (at(3), &1.into()));
    assert_eq!(revoked.detail["issuer"], world.services.ski.to_string());
    assert_eq!(revoked.detail["notAfter"], issued.record().not_after.millis());
    assert_eq!(revoked.detail["spki"], issued.record().spki.to_string());
    // From any place on.
    let rest = store.journal_after(piece.lines[0].seq).await.unwrap();
    assert_eq!(rest.lines, piece.lines[1..]);
    let none = store.journal_after(head).await.unwrap();
    assert_eq!((none.lines.len(), none.up_to), (0, head));
}

async fn what_stands_is_told_without_its_history(store: &dyn Store) {
    let world = World::new(store).await;
    let (revoked, ended) = (world.issue("n1", 0).await, world.issue("n1", 0).await);
    for serial in [revoked.record().serial, ended.record().serial] {
        store.revoke_certificate(serial, RevocationReason::Superseded, &stamp(1)).await.unwrap();
    }
    world.issue("held", HOUR).await;
    store.deny_identity(&spiffe("held"), "out", false, &stamp(HOUR)).await.unwrap();
    store.deny_identity(&spiffe("free"), "out", false, &stamp(HOUR)).await.unwrap();
    store.allow_identity(&spiffe("free"), &stamp(HOUR)).await.unwrap();
    for jti in ["good", "bad"] {
        store.record_token(&token(jti), &stamp(1)).await.unwrap();
    }
    let selector = crate::store::TokenSelector::Jti("bad".to_owned());
    store.revoke_tokens(&selector, &stamp(HOUR)).await.unwrap();
    store.preset_secret("bootstrap", &[7; 32], &stamp(1)).await.unwrap();
    store.revoke_preset_secret("bootstrap", &[7; 32], &stamp(HOUR)).await.unwrap();
    let transport = world.transport.ski.to_string();
    store.revoke_ca(world.transport.ski, RevocationReason::CaCompromise, &stamp(HOUR)).await.unwrap();

    let now = revoked.record().not_after.plus_seconds(-1);
    let piece = store.journal_of_all(now).await.unwrap();
    assert_eq!(piece.up_to, store.audit_head().await.unwrap().seq);
    let (denied, serials) =
        (spiffe("held"), [&revoked, &ended].map(|issued| issued.record().serial.to_string()));
    let mut found = told(&piece.lines);
    found.sort_unstable();
    let mut expected = vec![
        ("ca.revoked", transport.as_str()),
        ("certificate.revoked", &serials[0]),
        ("certificate.revoked", &serials[1]),
        ("identity.denied", denied.as_str()),
        ("secret.revoked", "bootstrap"),
        ("token.revoked", "bad"),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(piece.lines.iter().all(|line| line.seq == 0 && JOURNALLED.contains(&line.action.as_str())));
    // Each says as much as the record did.
    for line in store.journal_after(0).await.unwrap().lines {
        let Some(standing) =
            piece.lines.iter().find(|found| found.action == line.action && found.subject == line.subject)
        else {
            continue;
        };
        assert_eq!(standing.at, line.at, "{line:?}");
        if line.subject == denied.as_str() {
            assert_eq!(standing.detail["withdrawn"][0]["issuer"], world.services.ski.to_string());
        }
        for (field, value) in standing.detail.as_object().unwrap() {
            assert_eq!(line.detail[field], *value, "{field}: {line:?}");
        }
    }
    // What has ended by itself no longer matters.
    let later = store.journal_of_all(at(2 * DAY)).await.unwrap();
    assert_eq!(told(&later.lines).len(), 3, "{:?}", later.lines);
}

async fn the_place_never_moves_back(store: &dyn Store) {
    assert_eq!(store.journalled().await.unwrap(), 0);
    for (up_to, expected) in [(5, 5), (3, 5), (8, 8)] {
        store.set_journalled(up_to).await.unwrap();
        assert_eq!(store.journalled().await.unwrap(), expected);
    }
}
