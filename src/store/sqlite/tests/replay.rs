//! Denials in the journal: each holds after a restore, unless what lifted it is beyond doubt.

use super::{
    conformance::fixture::*,
    restore::{Lost, NOW, denied, entries, line, plan},
    *,
};
use crate::{
    identity::CaRole,
    store::{AdoptOutcome, JournalLine, RevocationReason},
};
use serde_json::json;

/// Certificates that the backup does not know are off by a denial of after it as they were before, and back on where it
/// was lifted, unless it revoked them for good.
#[tokio::test]
async fn a_denial_of_the_journal_reaches_certificates_that_the_backup_does_not_know() {
    use RevocationReason::{CertificateHold, KeyCompromise};
    for (compromised, allowed, expected) in [
        (false, false, Some(CertificateHold)),
        (false, true, None),
        (true, false, Some(KeyCompromise)),
        (true, true, Some(KeyCompromise)),
    ] {
        let mut record = None;
        let lost = Lost::new(
            async |_| {},
            async |world| {
                record = Some(world.issue("n1", 1100).await.record().clone());
                world.store.deny_identity(&spiffe("n1"), "why", compromised, &stamp(1200)).await.unwrap();
                if allowed {
                    world.store.allow_identity(&spiffe("n1"), &stamp(1300)).await.unwrap();
                }
            },
        )
        .await;
        let record = record.unwrap();
        let lines = lost.journal().await;
        let without_order = [lines.clone(), lines[..1].to_vec()].concat();
        for journal in [lines, without_order] {
            let (restored, _directory, store) = lost.restored(&plan(journal));
            assert_eq!(restored.notes, Vec::<String>::new());
            assert_eq!(restored.denied, u64::from(!allowed));
            assert_eq!(restored.revoked, u64::from(expected.is_some()));
            let listed: Vec<_> =
                entries(&store).await.iter().map(|line| (line.serial, line.reason)).collect();
            assert_eq!(listed, Vec::from_iter(expected.map(|reason| (record.serial, reason))));
            // What was good to the end is taken up, and nothing else.
            let adopted = store.adopt_certificate(signed(record.clone()), &stamp(NOW + 1)).await.unwrap();
            let is_adopted = matches!(adopted, AdoptOutcome::Adopted(_));
            assert_eq!(is_adopted, expected.is_none(), "{adopted:?}");
            store.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_denial_holds_whatever_is_wrong_with_the_certificates_in_its_line() {
    let lost = Lost::new(async |_| {}, async |_| {}).await;
    let good = |issuer: String| {
        json!({"serial": serial().to_string(), "issuer": issuer, "spki": key("k").to_string(),
        "notAfter": i64::MAX})
    };
    let withdrawn = json!([
        7, {}, {"serial": "1"}, good("00".repeat(20)), good("x".into()), good(ski(CaRole::Services, 1).to_string())
    ]);
    for compromised in [false, true] {
        let detail = json!({"reason": "why", "compromised": compromised, "withdrawn": withdrawn});
        let journal = vec![line(100, 1100, "identity.denied", spiffe("n1").as_str(), detail)];
        let (restored, _directory, store) = lost.restored(&plan(journal));
        assert_eq!((restored.denied, restored.revoked, restored.notes.len()), (1, 1, 5), "{restored:?}");
        assert_eq!((denied(&store).await.len(), entries(&store).await.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_journal_lifts_no_denial_of_the_backup() {
    let lost = Lost::new(
        async |world| {
            world.issue("n1", 10).await;
            world.store.deny_identity(&spiffe("n1"), "why", false, &stamp(20)).await.unwrap();
        },
        async |world| {
            world.store.allow_identity(&spiffe("n1"), &stamp(1100)).await.unwrap();
        },
    )
    .await;
    let (restored, _directory, store) = lost.restored(&plan(lost.journal().await));
    assert_eq!(denied(&store).await, [spiffe("n1").to_string()]);
    assert_eq!(entries(&store).await.len(), 1);
    assert!(restored.notes[0].contains("stays denied") && restored.notes.len() == 1, "{restored:?}");
}

/// What was issued after a denial had ended is not struck by it.
#[tokio::test]
async fn a_denial_that_ended_before_the_backup_is_not_made_again() {
    let lost = Lost::new(
        async |world| {
            world.store.deny_identity(&spiffe("n1"), "stolen", true, &stamp(20)).await.unwrap();
            world.store.allow_identity(&spiffe("n1"), &stamp(30)).await.unwrap();
            world.issue("n1", 40).await;
        },
        async |_| {},
    )
    .await;
    let lines = lost.journal().await;
    // As a journal that was begun anew while the identity was denied.
    let begun = JournalLine { seq: 0, ..lines[0].clone() };
    for journal in [lines.clone(), [&[begun][..], &lines[1..]].concat(), [&lines[..], &lines[..1]].concat()] {
        let (restored, _directory, store) = lost.restored(&plan(journal));
        assert_eq!((restored.denied, restored.notes.len()), (0, 0));
        assert_eq!((denied(&store).await.len(), entries(&store).await.len()), (0, 0));
    }
}

/// An allowing that is older than the denial, and appended after it once more, ends nothing.
#[tokio::test]
async fn an_older_allowing_ends_no_later_denial() {
    let lost = Lost::new(
        async |world| {
            world.store.deny_identity(&spiffe("n1"), "why", false, &stamp(20)).await.unwrap();
            world.store.allow_identity(&spiffe("n1"), &stamp(30)).await.unwrap();
        },
        async |world| {
            world.store.deny_identity(&spiffe("n1"), "again", false, &stamp(1100)).await.unwrap();
        },
    )
    .await;
    let lines = lost.journal().await;
    let (_, _directory, store) = lost.restored(&plan([&lines[..], &lines[..2]].concat()));
    assert_eq!(denied(&store).await, [spiffe("n1").to_string()]);
}

/// The clock was set back between the two; in one case the backup lies between them, too.
#[tokio::test]
async fn a_denial_holds_that_came_after_an_allowing_with_an_earlier_time() {
    let allow = async |world: &World<'_>| {
        world.store.deny_identity(&spiffe("n1"), "why", false, &stamp(500)).await.unwrap();
        world.store.allow_identity(&spiffe("n1"), &stamp(900)).await.unwrap();
    };
    let deny = async |world: &World<'_>| {
        world.store.deny_identity(&spiffe("n1"), "again", false, &stamp(600)).await.unwrap();
    };
    let both = async |world: &World<'_>| {
        allow(world).await;
        deny(world).await;
    };
    for lost in [Lost::new(allow, deny).await, Lost::new(async |_| {}, both).await] {
        let lines = lost.journal().await;
        // An older copy of the journal may be read after it.
        for journal in [lines.clone(), [&lines[..], &lines[..2]].concat()] {
            let (_, _directory, store) = lost.restored(&plan(journal));
            assert_eq!(denied(&store).await, [spiffe("n1").to_string()]);
        }
    }
    // The other way round nobody knows, and it is told.
    let lost = Lost::new(
        async |_| {},
        async |world| {
            world.store.deny_identity(&spiffe("n1"), "why", false, &stamp(900)).await.unwrap();
            world.store.allow_identity(&spiffe("n1"), &stamp(600)).await.unwrap();
        },
    )
    .await;
    let (restored, _directory, store) = lost.restored(&plan(lost.journal().await));
    assert_eq!(denied(&store).await, [spiffe("n1").to_string()]);
    assert!(restored.notes.len() == 1 && restored.notes[0].contains("stays denied"), "{restored:?}");
}
