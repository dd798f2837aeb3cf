//! A disk without room, and a batch in which something fails.

use super::{SqliteStore, place};
use crate::store::{
    AuditVerdict, RecordOutcome, Store, StoreError,
    conformance::fixture::{World, at, signed, stamp},
};

use std::{pin::Pin, task::Poll};

/// Stands for a disk of so many pages.
async fn set_room(store: &SqliteStore, pages: u32) {
    store
        .write(move |step| {
            step.connection().pragma_update(None, "max_page_count", pages)?;
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_loses_nothing_and_is_left_behind_when_there_is_room() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let world = World::new(&store).await;
    set_room(&store, 1).await;
    let mut recorded = 0;
    let full = loop {
        let record = world.record("n1", recorded);
        match store.record_issued(signed(record), &stamp(recorded)).await {
            Ok(RecordOutcome::Recorded(_)) => recorded += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::Full);
    // All that goes wrong together goes wrong with the same answer, and nothing of it is there afterwards.
    let records: Vec<_> = (0..20).map(|_| world.record("n1", recorded)).collect();
    let at_once = records.into_iter().map(|record| async {
        let stamp = stamp(recorded);
        store.record_issued(signed(record), &stamp).await
    });
    for answer in futures_of(at_once).await {
        assert!(matches!(answer, Err(StoreError::Full)), "{answer:?}");
    }
    assert_eq!(store.summary(at(recorded)).await.unwrap().active_certificates, recorded.unsigned_abs());
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(_)));

    set_room(&store, u32::MAX - 1).await;
    for _ in 0..100 {
        world.issue("n1", recorded).await;
        recorded += 1;
    }
    assert_eq!(store.summary(at(recorded)).await.unwrap().active_certificates, recorded.unsigned_abs());
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(_)));
}

/// Polls all of them before the first is awaited, so that they stand in the queue together.
async fn futures_of<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<String, StoreError>> + 'a>>;

#[tokio::test]
async fn what_fails_in_the_middle_of_a_batch_is_rolled_back_alone() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let world = World::new(&store).await;
    let taken = world.issue("n0", 0).await.record().serial;
    let head = store.audit_head().await.unwrap().seq;
    // All twelve are queued before the writer is let on; one of them has a serial number that is taken.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let mut waited = false;
    let blocked = store.write(move |_| {
        // Once: the batch may be run again.
        if !std::mem::replace(&mut waited, true) {
            wait.recv().unwrap();
        }
        Ok(())
    });
    let records = (0..12).map(|number| {
        let mut record = world.record(&format!("n{number}"), 1);
        if number == 5 {
            record.serial = taken;
        }
        record
    });
    let mut all: Vec<Answer<'_>> = vec![Box::pin(async {
        blocked.await.unwrap();
        Ok(String::new())
    })];
    for record in records {
        let store = &store;
        all.push(Box::pin(async move {
            let stamp = stamp(1);
            store.record_issued(signed(record), &stamp).await.map(|outcome| format!("{outcome:?}"))
        }));
    }
    all.push(Box::pin(async {
        go.send(()).unwrap();
        Ok(String::new())
    }));
    let answers = futures_of(all.into_iter()).await;
    for (number, answer) in answers[1..13].iter().enumerate() {
        match answer {
            Ok(outcome) => assert!(number != 5 && outcome.starts_with("Recorded"), "{number}: {outcome}"),
            Err(error) => {
                assert!(number == 5 && matches!(error, StoreError::Conflict(_)), "{number}: {error}")
            }
        }
    }
    assert_eq!(store.audit_head().await.unwrap().seq, head + 11);
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact(_)));
    assert_eq!(store.summary(at(1)).await.unwrap().active_certificates, 12);
    assert_eq!(store.hierarchy().await.unwrap().cas[1].issued_count, 12);
}
