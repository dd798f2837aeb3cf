//! Rules of signatures.

use super::{
    report::{Tried, Unmet, all_but, ensure, failed},
    subject::{Subject, broken},
};
use crate::{Capability, GuardedKey, KeyPin, Purpose, Refusal, SignError};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};

/// Around block sizes of hashes, limits of key stores, and a CRL of many thousand entries.
const SIZES: &[usize] = &[0, 1, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 65_535, 65_536, 1 << 20];

/// For every capability, from nothing to `max_message` or 1 MiB; one octet more than the limit is refused. Nothing may be
/// refused too: what has no digest can't be empty in every key store, and the CA signs nothing that is.
pub(super) async fn verifies_at_every_size(subject: &Subject<'_>) -> Tried {
    let mut missing = Vec::new();
    for capability in subject.backend.capabilities() {
        match subject.key_of(capability).await {
            Ok(pin) => sizes_of(subject, capability, &pin).await?,
            Err(Unmet::Skipped(why)) => missing.push(why),
            Err(failed) => return Err(failed),
        }
    }
    all_but(&missing)
}

async fn sizes_of(subject: &Subject<'_>, capability: &Capability, pin: &KeyPin) -> Tried {
    let key = subject.opened(pin, 4).await?;
    let limit = capability.max_message.unwrap_or(1 << 20);
    for size in SIZES.iter().copied().filter(|size| *size < limit).chain([limit]) {
        let what = || format!("signing {size} octets with {}", pin.algorithm);
        let message = (0..size).map(|i| i as u8).collect();
        match signs(subject, &key, message).await {
            Err(SignError::Refused { kind: Refusal::Unsupported, .. }) if size == 0 => {}
            signed => signed.or_else(|e| broken(&what(), &e))?,
        }
    }
    let Some(limit) = capability.max_message else { return Ok(()) };
    let longer = signs(subject, &key, vec![0; limit + 1]).await;
    let refused = matches!(longer, Err(SignError::Refused { kind: Refusal::Unsupported, .. }));
    ensure(refused, || format!("{} octets with {} are not refused", limit + 1, pin.algorithm))
}

/// A key signs what its policy names and nothing else.
pub(super) async fn purposes_are_enforced(subject: &Subject<'_>) -> Tried {
    let key = subject.opened(&subject.some_key().await?, 1).await?;
    for purpose in [Purpose::Crl, Purpose::Token, Purpose::Manifest, Purpose::AuditHead] {
        match key.sign(purpose, b"refused".to_vec(), subject.deadline()).await {
            Err(SignError::Refused { kind: Refusal::Purpose, .. }) => {}
            _ => return failed(format!("a key for certificates does not refuse {purpose}")),
        }
    }
    signs(subject, &key, b"allowed".to_vec()).await.or_else(|e| broken("signing what is allowed", &e))
}

/// Each of 64 messages gets its own signature.
pub(super) async fn serves_64_at_once(subject: &Subject<'_>) -> Tried {
    let pin = subject.some_key().await?;
    let key = Arc::new(subject.opened(&pin, 64).await?);
    let mut tasks = JoinSet::new();
    for i in 0..64_u8 {
        let (key, deadline) = (key.clone(), subject.deadline());
        tasks.spawn(async move { key.sign(Purpose::Certificate, vec![i; 500], deadline).await });
    }
    let mut seen = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let made = done.or_else(|_| failed("a request panicked"))?.or_else(|e| broken("one of 64", &e))?;
        let right = pin.algorithm.verify(&pin.spki, &made.message, &made.signature);
        ensure(right, || "a signature does not verify".to_owned())?;
        seen.push(made.message[0]);
    }
    seen.sort_unstable();
    ensure(seen == (0..64).collect::<Vec<_>>(), || "a message was lost or served twice".to_owned())
}

/// Dropped at its start, and at growing times after, a request holds nothing back.
pub(super) async fn survives_cancellation(subject: &Subject<'_>) -> Tried {
    let pin = subject.some_key().await?;
    let key = subject.opened(&pin, 2).await?;
    for i in 0..40_u64 {
        let request = signs(subject, &key, vec![0; 100_000]);
        // Whether it was in time does not matter.
        let _ = timeout(Duration::from_micros(i * i * 5), request).await;
    }
    let again = || signs(subject, &key, b"after".to_vec());
    let (one, two, three) = tokio::join!(again(), again(), again());
    one.and(two).and(three).or_else(|e| broken("signing after dropped requests", &e))
}

async fn signs(subject: &Subject<'_>, key: &GuardedKey, message: Vec<u8>) -> Result<(), SignError> {
    key.sign(Purpose::Certificate, message, subject.deadline()).await.map(drop)
}
