//! What the CA and the guard report, as metrics and log lines.

use crate::{
    authority::{self, Gauges, KeyCondition},
    identity::{CaRole, Timestamp},
    telemetry::{CertType, KeyHealth, Metrics},
};
use catalyst_signing::{KeyHealth as Health, SignatureAlgorithm, SigningEvent};
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
        let key_states = gauges.keys.iter().map(|(name, backend, condition)| {
            let health = match condition {
                KeyCondition::Ready => KeyHealth::Ready,
                KeyCondition::Closed => KeyHealth::Unknown,
                KeyCondition::Away => KeyHealth::Away,
                KeyCondition::Latched => KeyHealth::Latched,
            };
            ((Arc::from(name.as_str()), Arc::from(backend.as_str())), health)
        });
        self.0.set_key_states(key_states.collect());
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
                self.0.set_key_state(&Arc::from(*name), &Arc::from(*backend), state);
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
