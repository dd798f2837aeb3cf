//! Metrics, for `/metrics` and for a collector. Names are those that operators' rules and dashboards use.

mod backups;
mod gauges;
mod keys;

pub use backups::BackupFigures;
pub use keys::{Elsewhere, ElsewhereChanges, KeyHealth};

use super::{TelemetryError, push};
use gauges::Gauges;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
};
use prometheus::{Registry, TextEncoder};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tokio::runtime::Handle;

/// From half a millisecond, which local keys take, to ten seconds, after which clients have gone.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The label `type` of an issued certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertType {
    /// An SVID.
    EndEntity,
    /// A CA under the root.
    Intermediate,
}

impl CertType {
    fn label(self) -> &'static str {
        match self {
            Self::EndEntity => "end-entity",
            Self::Intermediate => "intermediate",
        }
    }
}

/// Every instrument of the service. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
    instruments: Arc<Instruments>,
    gauges: Arc<Gauges>,
    backups: Arc<Mutex<BackupFigures>>,
}

struct Instruments {
    issued: Counter<u64>,
    purged: Counter<u64>,
    throttled: Counter<u64>,
    auth_failures: Counter<u64>,
    backup_failures: Counter<u64>,
    csr_sign: Histogram<f64>,
    signing: Histogram<f64>,
}

impl Metrics {
    /// Metrics for `/metrics` alone.
    ///
    /// # Errors
    /// The instruments can't be registered.
    pub fn new() -> Result<Self, TelemetryError> {
        Self::build(None)
    }

    /// Metrics that are also pushed if `OTEL_EXPORTER_OTLP_ENDPOINT` is set, on this runtime.
    ///
    /// # Errors
    /// The instruments can't be registered, or the endpoint can't be used.
    pub fn from_environment(runtime: &Handle) -> Result<Self, TelemetryError> {
        match push::endpoint_from_environment() {
            Some(endpoint) => Self::pushed_to(&endpoint, runtime),
            None => Self::new(),
        }
    }

    /// Metrics that are also pushed to this URL, on this runtime.
    ///
    /// # Errors
    /// The instruments can't be registered, or the endpoint can't be used.
    pub fn pushed_to(endpoint: &str, runtime: &Handle) -> Result<Self, TelemetryError> {
        Self::build(Some(push::reader(endpoint, runtime)?))
    }

    fn build(push: Option<PeriodicReader<MetricExporter>>) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(|error| TelemetryError::Metrics(error.to_string()))?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("catalyst-pki");
        }
        let mut provider = SdkMeterProvider::builder().with_resource(resource.build()).with_reader(exporter);
        if let Some(reader) = push {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        let meter = provider.meter("catalyst.pki");
        let gauges = Arc::new(Gauges::default());
        gauges.register(&meter);
        let backups = Arc::default();
        backups::register(&meter, &backups);
        Ok(Self { registry, instruments: Arc::new(Instruments::new(&meter)), provider, gauges, backups })
    }

    /// What `/metrics` answers, in Prometheus' text format (`text/plain; version=0.0.4`).
    #[must_use]
    pub fn render(&self) -> String {
        // The encoder fails on families without metrics alone, which the registry never gathers.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Pushes what was not pushed yet. Blocks while the collector answers, so call it off the runtime's threads.
    pub fn shutdown(&self) {
        // A collector that is away must not keep the service from ending.
        let _ = self.provider.shutdown();
    }

    /// Makes `cert_issued_total` appear as 0 for an issuer that can issue.
    pub fn announce_issuer(&self, kind: CertType, algorithm: &'static str, issuer: &Arc<str>) {
        self.instruments.issued.add(0, &issued_labels(kind, algorithm, issuer));
    }

    /// One certificate was issued.
    pub fn cert_issued(&self, kind: CertType, algorithm: &'static str, issuer: &Arc<str>) {
        self.instruments.issued.add(1, &issued_labels(kind, algorithm, issuer));
    }

    /// This many expired certificates were removed.
    pub fn certs_purged(&self, count: u64) {
        self.instruments.purged.add(count, &[]);
    }

    /// A credential was not taken; `reason` is the answer's code.
    pub fn authentication_failed(&self, reason: &'static str) {
        self.instruments.auth_failures.add(1, &[KeyValue::new("reason", reason)]);
    }

    /// A backup was not made (`step` is `backup`), or what is run after it failed (`hook`).
    pub fn backup_failed(&self, step: &'static str) {
        self.instruments.backup_failures.add(1, &[KeyValue::new("step", step)]);
    }

    /// How the backups are now.
    pub fn set_backups(&self, figures: BackupFigures) {
        *lock(&self.backups) = figures;
    }

    /// Processing one CSR took this long, whatever came of it.
    pub fn csr_signed(&self, took: Duration) {
        self.instruments.csr_sign.record(took.as_secs_f64(), &[]);
    }

    /// One call of a key store took this long.
    pub fn signing(
        &self,
        backend: &'static str,
        operation: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = [
            KeyValue::new("backend", backend),
            KeyValue::new("operation", operation),
            KeyValue::new("outcome", outcome),
        ];
        self.instruments.signing.record(took.as_secs_f64(), &labels);
    }

    /// A call of a key store begins; [`Metrics::signing_ended`] must follow.
    pub fn signing_started(&self) {
        self.gauges.inflight.fetch_add(1, Ordering::Relaxed);
    }

    /// A call of a key store has ended.
    pub fn signing_ended(&self) {
        self.gauges.inflight.fetch_sub(1, Ordering::Relaxed);
    }

    /// A call had to wait, or was refused, for a quota's sake.
    pub fn signing_throttled(&self) {
        self.instruments.throttled.add(1, &[]);
    }

    /// How many identities are denied.
    pub fn set_deny_list_size(&self, count: u64) {
        self.gauges.deny_list_size.store(count, Ordering::Relaxed);
    }

    /// Whether the store was put back and that waits to be confirmed.
    pub fn set_recovery(&self, recovering: bool) {
        self.gauges.recovery.store(u64::from(recovering), Ordering::Relaxed);
    }

    /// How many lines are not in the journal of denials yet.
    pub fn set_journal_pending(&self, lines: u64) {
        self.gauges.journal_pending.store(lines, Ordering::Relaxed);
    }

    /// How many recorded certificates have not expired.
    pub fn set_active_certs(&self, count: u64) {
        self.gauges.active_certs.store(count, Ordering::Relaxed);
    }

    /// When the CA certificates in force expire, by CA name; others are told of no more.
    pub fn set_ca_expiries(&self, not_after: BTreeMap<Arc<str>, SystemTime>) {
        *lock(&self.gauges.ca_expiry) = not_after;
    }

    /// When the newest CRLs want successors, by CA name; others are told of no more.
    pub fn set_crl_next_updates(&self, next_update: BTreeMap<Arc<str>, SystemTime>) {
        *lock(&self.gauges.crl_next_update) = next_update;
    }

    /// How the keys of the CAs in force fare, by CA name and key store; others are told of no more.
    pub fn set_key_states(&self, states: BTreeMap<(Arc<str>, Arc<str>), KeyHealth>) {
        *lock(&self.gauges.key_state) = states;
    }

    /// How the key of a CA fares that [`Metrics::set_key_states`] told of.
    pub fn set_key_state(&self, ca_name: &str, health: KeyHealth) {
        for ((known, _), state) in lock(&self.gauges.key_state).iter_mut() {
            if **known == *ca_name {
                *state = health;
            }
        }
    }

    /// Which keys sign elsewhere than their URIs say; others are told of no more. Answers what is new.
    pub fn set_signing_elsewhere(&self, now: BTreeSet<Elsewhere>) -> ElsewhereChanges {
        let mut known = lock(&self.gauges.elsewhere);
        let changes = ElsewhereChanges {
            begun: now.difference(&known).cloned().collect(),
            ended: known.difference(&now).cloned().collect(),
        };
        *known = now;
        changes
    }
}

fn issued_labels(kind: CertType, algorithm: &'static str, issuer: &Arc<str>) -> [KeyValue; 3] {
    [
        KeyValue::new("type", kind.label()),
        KeyValue::new("algorithm", algorithm),
        KeyValue::new("issuer", Arc::clone(issuer)),
    ]
}

impl Instruments {
    fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, what: &'static str| {
            let histogram = meter.f64_histogram(name).with_description(what).with_unit("s");
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        let counter =
            |name: &'static str, what: &'static str| meter.u64_counter(name).with_description(what).build();
        let instruments = Self {
            issued: counter("catalyst.pki.cert_issued_total", "Certificates issued"),
            purged: counter("catalyst.pki.purged_cert_count", "Expired certificates removed"),
            throttled: counter(
                "catalyst.pki.signing_throttled_total",
                "Key store calls held back by a quota",
            ),
            auth_failures: counter("catalyst.auth.failure_total", "Credentials that were not taken"),
            backup_failures: counter(
                "catalyst.pki.backup_failure_total",
                "Backups that were not made, and programs after them that failed",
            ),
            csr_sign: seconds("catalyst.pki.csr_sign_duration_seconds", "Time to process a CSR"),
            signing: seconds("catalyst.pki.signing_duration_seconds", "Time of one key store call"),
        };
        // A counter that exists and has counted nothing is 0, so that rates and alerts work from the first event.
        instruments.purged.add(0, &[]);
        instruments.throttled.add(0, &[]);
        for reason in ["credential_missing", "credential_invalid"] {
            instruments.auth_failures.add(0, &[KeyValue::new("reason", reason)]);
        }
        for step in ["backup", "hook"] {
            instruments.backup_failures.add(0, &[KeyValue::new("step", step)]);
        }
        instruments
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps are whole between any two calls, so what a panicking thread left is still good.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
