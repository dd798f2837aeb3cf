//! Where a multi-Region key signs while its own Region does not answer.

use super::KeyArn;
use crate::{
    client::Regions,
    trouble::{Cause, Trouble},
};
use aws_sdk_kms::primitives::{DateTime, DateTimeFormat};
use catalyst_signing::SignError;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How long a Region is left out that does not have the key.
const UNREPLICATED: Duration = Duration::from_secs(300);
/// How long one is left out that refuses, or answers falsely.
const REFUSED: Duration = Duration::from_secs(60);
/// How long one is left out that has another key.
const ANOTHER_KEY: Duration = Duration::from_secs(3600);

/// One key's own Region, and the others that it may sign in.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) home: KeyArn,
    replicas: Vec<Replica>,
    moved: Mutex<Option<Moved>>,
}

/// Where the key signs instead.
#[derive(Debug)]
struct Moved {
    region: String,
    since: SystemTime,
}

/// The key in another Region.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) arn: KeyArn,
    /// Held by the one who compares its public key.
    pub(super) comparing: tokio::sync::Mutex<()>,
    same: AtomicBool,
    out: Mutex<Option<Out>>,
}

/// Why a Region is left out, or was last.
#[derive(Debug)]
struct Out {
    until: Instant,
    /// How often an operator had asked to try again: one time more ends it.
    retries: u64,
    why: String,
}

impl Route {
    /// A key that is no multi-Region key has no other Region.
    pub(super) fn new(home: KeyArn, failover: &[String]) -> Self {
        let mut replicas: Vec<Replica> = Vec::new();
        for region in failover.iter().filter(|region| *region != home.region()) {
            if let Some(arn) = home.replica(region)
                && replicas.iter().all(|known| known.arn != arn)
            {
                replicas.push(Replica::new(arn));
            }
        }
        Self { home, replicas, moved: Mutex::default() }
    }

    pub(super) fn has_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// Where the next attempt goes; `None`: to the key's own Region, which is also the last resort.
    pub(super) fn next(&self, regions: &Regions, retries: u64) -> Option<&Replica> {
        if self.replicas.is_empty() || !regions.is_ill(self.home.region()) {
            return None;
        }
        self.replicas.iter().find(|replica| replica.is_open(regions, retries))
    }

    /// An attempt was answered with what was wanted, there or at home (`None`).
    pub(super) fn worked(&self, at: Option<&Replica>) {
        let mut moved = lock(&self.moved);
        let home = self.home.region();
        match (at, &*moved) {
            (Some(replica), before) => {
                *lock(&replica.out) = None;
                let region = replica.arn.region();
                if before.as_ref().is_none_or(|before| before.region != region) {
                    tracing::warn!(target: "catalyst.pki", key = %self.home, region, away = home,
                        "The key's own Region does not answer; it signs in another");
                    *moved = Some(Moved { region: region.to_owned(), since: SystemTime::now() });
                }
            }
            (None, Some(before)) => {
                tracing::info!(target: "catalyst.pki", key = %self.home, region = home, left = before.region,
                    "The key signs in its own Region again");
                *moved = None;
            }
            (None, None) => {}
        }
    }

    /// An attempt failed there. What a replica refuses says nothing about the key, so it latches nothing: the Region is
    /// left out for a while instead.
    pub(super) fn failed_at(&self, replica: &Replica, trouble: Trouble, retries: u64) -> SignError {
        let (home, region) = (self.home.region(), replica.arn.region());
        let (time, why) = match (trouble.cause, &trouble.error) {
            (Cause::Missing, _) => (
                UNREPLICATED,
                format!(
                    "is not to be had in {region}: `aws kms replicate-key --key-id {} --replica-region {region} \
                     --region {home}` puts it there",
                    self.home
                ),
            ),
            (_, SignError::Refused { reason, .. }) => {
                (REFUSED, format!("could not sign in {region} while {home} did not answer: {reason}"))
            }
            (_, SignError::Integrity { .. }) => {
                replica.leave_out(REFUSED, retries, format!("was answered falsely for in {region}"));
                return trouble.error;
            }
            _ => return trouble.error,
        };
        let error = SignError::unavailable(format!("{} {why}", self.home));
        tracing::warn!(target: "catalyst.pki", key = %self.home, region, reason = %trouble.error,
            "A failover Region is left out for a while");
        replica.leave_out(time, retries, why);
        error
    }

    /// The public key there is not the pinned one.
    pub(super) fn differs_at(&self, replica: &Replica, retries: u64) -> Trouble {
        let region = replica.arn.region();
        tracing::error!(target: "catalyst.pki", key = %replica.arn, region,
            "A failover Region has another key than the pinned one; it is left out");
        let why =
            format!("has another public key in {region} than the pinned one, so it does not sign there");
        let error = SignError::unavailable(format!("{} {why}", replica.arn));
        replica.leave_out(ANOTHER_KEY, retries, why);
        Trouble { error, cause: Cause::Answered }
    }

    /// A signature did not verify: if it may have been made elsewhere, that Region is left out.
    pub(super) fn doubt(&self, retries: u64) {
        let Some(region) = self.elsewhere() else { return };
        for replica in self.replicas.iter().filter(|replica| replica.arn.region() == region) {
            replica.leave_out(REFUSED, retries, format!("was answered falsely for in {region}"));
        }
    }

    pub(super) fn elsewhere(&self) -> Option<String> {
        lock(&self.moved).as_ref().map(|moved| moved.region.clone())
    }

    /// What an operator has to know, one sentence each.
    pub(super) fn cautions(&self) -> Vec<String> {
        let moved = lock(&self.moved).as_ref().map(|moved| {
            let since = DateTime::from_secs(DateTime::from(moved.since).secs()).fmt(DateTimeFormat::DateTime);
            let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
            format!("signs in {}{since}: {} does not answer", moved.region, self.home.region())
        });
        let left_out =
            self.replicas.iter().filter_map(|replica| Some(lock(&replica.out).as_ref()?.why.clone()));
        moved.into_iter().chain(left_out).collect()
    }
}

impl Replica {
    fn new(arn: KeyArn) -> Self {
        Self {
            arn,
            comparing: tokio::sync::Mutex::default(),
            same: AtomicBool::new(false),
            out: Mutex::default(),
        }
    }

    /// Whether it may be asked now.
    pub(super) fn is_open(&self, regions: &Regions, retries: u64) -> bool {
        let out =
            lock(&self.out).as_ref().is_some_and(|out| out.retries == retries && Instant::now() < out.until);
        !out && !regions.rests(self.arn.region())
    }

    /// Whether its public key was compared with the pin, or may not be read.
    pub(super) fn is_same(&self) -> bool {
        self.same.load(Relaxed)
    }

    pub(super) fn set_same(&self) {
        self.same.store(true, Relaxed);
    }

    fn leave_out(&self, time: Duration, retries: u64, why: String) {
        self.same.store(false, Relaxed);
        *lock(&self.out) = Some(Out { until: Instant::now() + time, retries, why });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
