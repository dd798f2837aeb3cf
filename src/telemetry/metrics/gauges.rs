//! What is read when somebody looks.

use super::{Elsewhere, KeyHealth, lock};
use opentelemetry::{KeyValue, metrics::Meter};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

const NOT_KNOWN_YET: u64 = u64::MAX;

/// Points in time by the name of a CA.
type Times = Mutex<BTreeMap<Arc<str>, SystemTime>>;
/// The keys of CAs by the CA's name and the key store's.
type Keys = Mutex<BTreeMap<(Arc<str>, Arc<str>), KeyHealth>>;

/// Points in time are kept, so that seconds left are right at every look.
pub(super) struct Gauges {
    pub(super) deny_list_size: AtomicU64,
    pub(super) active_certs: AtomicU64,
    pub(super) recovery: AtomicU64,
    pub(super) journal_pending: AtomicU64,
    pub(super) inflight: AtomicI64,
    pub(super) ca_expiry: Times,
    pub(super) crl_next_update: Times,
    pub(super) key_state: Keys,
    pub(super) elsewhere: Mutex<BTreeSet<Elsewhere>>,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            deny_list_size: AtomicU64::new(NOT_KNOWN_YET),
            active_certs: AtomicU64::new(NOT_KNOWN_YET),
            recovery: AtomicU64::new(NOT_KNOWN_YET),
            journal_pending: AtomicU64::new(NOT_KNOWN_YET),
            inflight: AtomicI64::new(0),
            ca_expiry: Mutex::default(),
            crl_next_update: Mutex::default(),
            key_state: Mutex::default(),
            elsewhere: Mutex::default(),
        }
    }
}

impl Gauges {
    pub(super) fn register(self: &Arc<Self>, meter: &Meter) {
        self.count(meter, "catalyst.pki.deny_list_size", "Identities that are denied", |all| {
            &all.deny_list_size
        });
        self.count(meter, "catalyst.pki.active_cert_count", "Certificates that have not expired", |all| {
            &all.active_certs
        });
        self.count(meter, "catalyst.pki.recovery", "1 while a restored store waits to be confirmed", |all| {
            &all.recovery
        });
        self.count(
            meter,
            "catalyst.pki.journal_pending",
            "Lines that are not in the journal of denials yet",
            |all| &all.journal_pending,
        );
        self.seconds_left(meter, "catalyst.pki.ca_expiry_seconds", "Until a CA certificate expires", |all| {
            &all.ca_expiry
        });
        self.seconds_left(
            meter,
            "catalyst.pki.crl_next_update_seconds",
            "Until the newest CRL is out of date",
            |all| &all.crl_next_update,
        );
        let all = Arc::clone(self);
        meter
            .i64_observable_gauge("catalyst.pki.signing_inflight")
            .with_description("Key store calls under way")
            .with_callback(move |observer| observer.observe(all.inflight.load(Ordering::Relaxed), &[]))
            .build();
        let all = Arc::clone(self);
        meter
            .i64_observable_gauge("catalyst.pki.key_state")
            .with_description(
                "1 ready, 0 unknown or closed, -1 key store away, -2 refused until an operator acts, -3 disabled, -4 to be destroyed, -5 gone",
            )
            .with_callback(move |observer| {
                for ((ca_name, backend), health) in lock(&all.key_state).iter() {
                    let labels = [
                        KeyValue::new("ca_name", Arc::clone(ca_name)),
                        KeyValue::new("backend", Arc::clone(backend)),
                    ];
                    observer.observe(health.value(), &labels);
                }
            })
            .build();
        let all = Arc::clone(self);
        meter
            .i64_observable_gauge("catalyst.pki.signing_elsewhere")
            .with_description("1 while a key signs elsewhere than its URI says, such as in another Region")
            .with_callback(move |observer| {
                for (ca_name, backend, place) in lock(&all.elsewhere).iter() {
                    let labels = [
                        KeyValue::new("ca_name", Arc::clone(ca_name)),
                        KeyValue::new("backend", Arc::clone(backend)),
                        KeyValue::new("place", Arc::clone(place)),
                    ];
                    observer.observe(1, &labels);
                }
            })
            .build();
    }

    fn count(
        self: &Arc<Self>,
        meter: &Meter,
        name: &'static str,
        what: &'static str,
        get: fn(&Self) -> &AtomicU64,
    ) {
        let all = Arc::clone(self);
        meter
            .u64_observable_gauge(name)
            .with_description(what)
            .with_callback(move |observer| match get(&all).load(Ordering::Relaxed) {
                NOT_KNOWN_YET => {}
                count => observer.observe(count, &[]),
            })
            .build();
    }

    fn seconds_left(
        self: &Arc<Self>,
        meter: &Meter,
        name: &'static str,
        what: &'static str,
        get: fn(&Self) -> &Times,
    ) {
        let all = Arc::clone(self);
        meter
            .i64_observable_gauge(name)
            .with_description(what)
            .with_unit("s")
            .with_callback(move |observer| {
                let now = SystemTime::now();
                for (ca_name, end) in lock(get(&all)).iter() {
                    observer
                        .observe(seconds_until(*end, now), &[KeyValue::new("ca_name", Arc::clone(ca_name))]);
                }
            })
            .build();
    }
}

/// Whole seconds, below 0 once it has passed.
pub(super) fn seconds_until(end: SystemTime, now: SystemTime) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match end.duration_since(now) {
        Ok(left) => whole(left),
        Err(passed) => -whole(passed.duration()),
    }
}
