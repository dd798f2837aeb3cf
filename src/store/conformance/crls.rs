//! CRLs: reserved, published, and how long a line stands.

use super::fixture::*;
use crate::store::{CrlPublication, CrlReservation, CrlRow, RevocationReason, Store, StoreError};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    every_ca_has_a_crl_row(make().await.as_ref()).await;
    numbers_rise(make().await.as_ref()).await;
    only_a_reserved_number_is_published(make().await.as_ref()).await;
    an_earlier_number_comes_too_late(make().await.as_ref()).await;
    a_change_is_pending_until_a_crl_has_it(make().await.as_ref()).await;
    a_line_stands_one_crl_beyond_its_certificate(make().await.as_ref()).await;
    a_line_that_came_after_the_reservation_stays(make().await.as_ref()).await;
    lines_are_in_order_of_serial_numbers(make().await.as_ref()).await;
}

fn publication(reservation: &CrlReservation, when: i64) -> CrlPublication {
    CrlPublication {
        issuer: reservation.issuer,
        number: reservation.number,
        revision: reservation.revision,
        this_update: at(when),
        next_update: at(when + DAY),
        der: format!("CRL {} of {}", reservation.number, reservation.issuer).into_bytes(),
    }
}

async fn reserve(world: &World<'_>, when: i64) -> CrlReservation {
    world.store.reserve_crl(world.services.ski, &stamp(when)).await.unwrap()
}

async fn publish(world: &World<'_>, when: i64) -> CrlReservation {
    let reservation = reserve(world, when).await;
    assert!(world.store.publish_crl(&publication(&reservation, when), &stamp(when)).await.unwrap());
    reservation
}

async fn row(world: &World<'_>) -> CrlRow {
    let rows = world.store.crls().await.unwrap();
    rows.into_iter().find(|row| row.issuer == world.services.ski).unwrap()
}

async fn every_ca_has_a_crl_row(store: &dyn Store) {
    let world = World::new(store).await;
    let rows = store.crls().await.unwrap();
    let issuers: Vec<_> = rows.iter().map(|row| row.issuer).collect();
    assert_eq!(issuers, [world.root.ski, world.services.ski, world.transport.ski]);
    assert!(rows.iter().all(|row| row.published.is_none() && !row.pending));
}

async fn numbers_rise(store: &dyn Store) {
    let world = World::new(store).await;
    let first = reserve(&world, 10).await.number;
    assert_eq!(first, at(10).seconds());
    assert_eq!(reserve(&world, 10).await.number, first + 1);
    assert_eq!(reserve(&world, 100).await.number, at(100).seconds());
    assert_eq!(
        store.reserve_crl(world.root.ski, &stamp(10)).await.unwrap().number,
        first,
        "each CA counts alone"
    );
}

async fn only_a_reserved_number_is_published(store: &dyn Store) {
    let world = World::new(store).await;
    let reservation = reserve(&world, 10).await;
    let invented = CrlPublication { number: reservation.number + 1, ..publication(&reservation, 10) };
    let answer = store.publish_crl(&invented, &stamp(11)).await;
    assert!(matches!(answer, Err(StoreError::Conflict(_))), "{answer:?}");
    assert_eq!(row(&world).await.published, None);
    let crl = publication(&reservation, 10);
    assert!(store.publish_crl(&crl, &stamp(11)).await.unwrap());
    assert_eq!(row(&world).await.published.as_ref(), Some(&crl));
    // The same once more is no error; other bytes under its number are.
    assert!(store.publish_crl(&crl, &stamp(12)).await.unwrap());
    let other = CrlPublication { der: b"other".to_vec(), ..crl };
    let answer = store.publish_crl(&other, &stamp(12)).await;
    assert!(matches!(answer, Err(StoreError::Conflict(_))), "{answer:?}");
}

async fn an_earlier_number_comes_too_late(store: &dyn Store) {
    let world = World::new(store).await;
    let (first, second) = (reserve(&world, 10).await, reserve(&world, 20).await);
    assert!(store.publish_crl(&publication(&second, 20), &stamp(21)).await.unwrap());
    assert!(!store.publish_crl(&publication(&first, 10), &stamp(22)).await.unwrap());
    assert_eq!(row(&world).await.published.unwrap().number, second.number);
}

async fn a_change_is_pending_until_a_crl_has_it(store: &dyn Store) {
    let world = World::new(store).await;
    world.issue("n1", 0).await;
    publish(&world, 1).await;
    assert!(!row(&world).await.pending);
    let before = reserve(&world, 2).await;
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(3)).await.unwrap();
    assert!(row(&world).await.pending);
    store.publish_crl(&publication(&before, 2), &stamp(4)).await.unwrap();
    assert!(row(&world).await.pending, "that CRL was reserved before the denial");
    publish(&world, 5).await;
    assert!(!row(&world).await.pending);
    store.allow_identity(&spiffe("n1"), &stamp(6)).await.unwrap();
    assert!(row(&world).await.pending, "a release wants a CRL too");
}

async fn a_line_stands_one_crl_beyond_its_certificate(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 0).await.record().serial;
    store.revoke_certificate(issued, RevocationReason::KeyCompromise, &stamp(1)).await.unwrap();
    assert_eq!(publish(&world, 10).await.entries.len(), 1);
    // Its certificate has ended; this CRL is the one beyond.
    assert_eq!(publish(&world, HOUR + 1).await.entries.len(), 1);
    assert_eq!(publish(&world, HOUR + 2).await.entries, []);
    assert!(!row(&world).await.pending);
}

async fn a_line_that_came_after_the_reservation_stays(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 0).await.record().serial;
    let early = reserve(&world, HOUR - 2).await;
    store.revoke_certificate(issued, RevocationReason::KeyCompromise, &stamp(HOUR - 1)).await.unwrap();
    // Signed late: its thisUpdate is past the certificate's end, yet the line is not on it.
    store.publish_crl(&publication(&early, HOUR + 5), &stamp(HOUR + 5)).await.unwrap();
    assert_eq!(publish(&world, HOUR + 6).await.entries.len(), 1);
    assert_eq!(publish(&world, HOUR + 7).await.entries, []);
}

async fn lines_are_in_order_of_serial_numbers(store: &dyn Store) {
    let world = World::new(store).await;
    for number in 0..20 {
        world.issue("n1", number).await;
    }
    store.deny_identity(&spiffe("n1"), "out", false, &stamp(30)).await.unwrap();
    let entries = reserve(&world, 31).await.entries;
    assert_eq!(entries.len(), 20);
    assert!(entries.is_sorted_by_key(|entry| entry.serial));
}
