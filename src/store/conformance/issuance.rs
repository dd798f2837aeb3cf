//! Issuance: what is recorded, and what is refused.

use super::fixture::*;
use crate::store::{CertificateQuery, Store};
use std::sync::Arc;

pub(super) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    what_is_recorded_is_found_again(make().await.as_ref()).await;
}

async fn what_is_recorded_is_found_again(store: &dyn Store) {
    let world = World::new(store).await;
    let issued = world.issue("n1", 10).await;
    let row = store.certificate(issued.record().serial, at(20)).await.unwrap().unwrap();
    assert_eq!(row.fingerprint, issued.fingerprint());
    assert_eq!(
        store.certificate_by_fingerprint(issued.fingerprint(), at(20)).await.unwrap().as_ref(),
        Some(&row)
    );
    assert_eq!(row.spiffe_id, Some(spiffe("n1")));
    assert_eq!(row.created_at, at(10));
    let all =
        store.certificates(&CertificateQuery { limit: 10, ..Default::default() }, at(20)).await.unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(all[0], row);
    assert_eq!(store.summary(at(20)).await.unwrap().active_certificates, 1);
}
