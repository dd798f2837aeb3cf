//! What the CA and the guard report, as metrics and log lines.

use crate::{
    authority::{self, Gauges, KeyCondition, KeyGauge},
    identity::{CaRole, Timestamp},
    telemetry::{CertType, KeyHealth, Metrics},
};
use catalyst_signing::{KeyHealth as Health, KeyState, SignatureAlgorithm, SigningEvent};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Hands figures to the metrics.
pub(super) struct Figures(pub(super) Metrics);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl authority::Observer for Figures {
    fn certificate_issued(&self, certificate_type: &'static str, algorithm: &'static str, issuer: &str) {
        let kind =
            if certificate_type == "intermediate" { CertType::Intermediate } else { CertType::EndEntity };
        self.0.cert_issued(kind, algorithm, &Arc::from(issuer));
    }
    fn csr_signed(&self, took: Duration) {
        self.0.csr_signed(took);
    }
    fn purged(&self, count: u64) {
        self.0.certs_purged(count);
    }
    fn gauges(&self, gauges: &Gauges) {
        self.0.set_active_certs(gauges.summary.active_certificates);
        self.0.set_deny_list_size(gauges.summary.denied_identities);
        self.0.set_recovery(gauges.recovery);
        let times = |of: &[(String, Timestamp)]| {
            let moment =
                |at: &Timestamp| SystemTime::UNIX_EPOCH + Duration::from_millis(at.millis().unsigned_abs());
            of.iter().map(|(name, at)| (Arc::from(name.as_str()), moment(at))).collect()
        };
        for (role, issuer, algorithm) in &gauges.issuing {
            let Ok(algorithm) = algorithm.parse::<SignatureAlgorithm>() else { continue };
            // The root issues intermediates, the others end-entity certificates; both count from zero.
            let kind = if *role == CaRole::Root { CertType::Intermediate } else { CertType::EndEntity };
            self.0.announce_issuer(kind, algorithm.name(), &Arc::from(issuer.as_str()));
        }
        let labels =
            |key: &KeyGauge| (Arc::<str>::from(key.name.as_str()), Arc::<str>::from(key.backend.as_str()));
        let key_states = gauges.keys.iter().map(|key| {
            let health = match (key.state, key.condition) {
                (KeyState::Disabled, _) => KeyHealth::Disabled,
                (KeyState::DestructionScheduled, _) => KeyHealth::DestructionScheduled,
                (KeyState::Gone, _) => KeyHealth::Gone,
                (_, KeyCondition::Ready) => KeyHealth::Ready,
                (_, KeyCondition::Closed) => KeyHealth::Unknown,
                (_, KeyCondition::Away) => KeyHealth::Away,
                (_, KeyCondition::Latched) => KeyHealth::Latched,
            };
            (labels(key), health)
        });
        self.0.set_key_states(key_states.collect());
        let elsewhere = gauges.keys.iter().filter_map(|key| {
            let (name, backend) = labels(key);
            Some((name, backend, Arc::from(key.elsewhere.as_deref()?)))
        });
        let changes = self.0.set_signing_elsewhere(elsewhere.collect());
        for (ca_name, backend, place) in &changes.begun {
            tracing::warn!(target: "catalyst.pki", %ca_name, %backend, %place, "Key signs elsewhere");
        }
        for (ca_name, backend, place) in &changes.ended {
            tracing::info!(target: "catalyst.pki", %ca_name, %backend, %place, "Key signs there no more");
        }
        self.0.set_ca_expiries(times(&gauges.ca_expiry));
        self.0.set_crl_next_updates(times(&gauges.crl_next_update));
    }
}

impl catalyst_signing::Observer for Figures {
    fn signing(&self, event: &SigningEvent<'_>) {
        match event {
            SigningEvent::Started { .. } => self.0.signing_started(),
            SigningEvent::Finished { backend, operation, outcome, duration } => {
                self.0.signing_ended();
                self.0.signing(backend, operation.name(), outcome.name(), *duration);
            }
            SigningEvent::Throttled { .. } => self.0.signing_throttled(),
            SigningEvent::Health { backend, name, health } => {
                let state = match health {
                    Health::Ready => KeyHealth::Ready,
                    Health::Suspect { .. } => KeyHealth::Away,
                    Health::Latched { .. } => KeyHealth::Latched,
                    _ => KeyHealth::Unknown,
                };
                self.0.set_key_state(name, state);
                match health {
                    Health::Latched { error } => {
                        tracing::error!(target: "catalyst.pki", ca_name = name, backend,
                        error = %error, code = error.code(), "Key latched — not used until an operator acts")
                    }
                    Health::Suspect { reason, .. } => {
                        tracing::warn!(target: "catalyst.pki", ca_name = name, backend,
                        reason, "Key store in trouble")
                    }
                    _ => tracing::info!(target: "catalyst.pki", ca_name = name, backend, "Key in use"),
                }
            }
            _ => {}
        }
    }
}
