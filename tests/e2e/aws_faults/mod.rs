//! Keys in AWS KMS, and the whole service, while KMS fails: the proxy in this process does what a test says.

mod away;
mod check;
mod failover;
mod latching;
mod neighbours;
mod passing;
mod policies;
mod rate;
mod rights;
mod states;

use crate::{
    auth_cli::run,
    pkcs11::{ask, key_uris, refusal, with},
    pki::{Pki, eventually, launch_in, ok, refused, verifies},
};
use catalyst_rigs::{
    Launch,
    aws::{Call, Fault, FaultProxy, RuleId, When},
    logs::LogLine,
};
use serde_json::json;
use std::{path::Path, thread, time::Duration};
use tempfile::TempDir;

const REGION: &str = "eu-central-1";
const SERVICES_CA: &str = "Catalyst Services CA";
const TRANSPORT_CA: &str = "Catalyst Transport CA";

/// The variables with which `catalyst` asks at the proxy, in its account, and nowhere else.
fn variables(proxy: &FaultProxy) -> Vec<(String, String)> {
    let own = [
        ("CATALYST_PKI_AWS_ENDPOINT", proxy.endpoint()),
        ("CATALYST_PKI_AWS_REGION", REGION.to_owned()),
        ("CATALYST_PKI_AWS_SETTLE", "2".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    proxy.localstack().credentials().into_iter().chain(own).collect()
}

/// `catalyst serve` in this directory with every key in KMS.
fn launch(data_dir: &Path, proxy: &FaultProxy) -> Launch {
    with(launch_in(data_dir), &variables(proxy)).env("CATALYST_PKI_KEY_BACKEND", "aws-kms")
}

/// The same with the keys of the root and of tokens in files, which no fault reaches.
fn launch_issuers(data_dir: &Path, proxy: &FaultProxy) -> Launch {
    launch(data_dir, proxy)
        .env("CATALYST_PKI_KEY_BACKEND_ROOT", "local")
        .env("CATALYST_PKI_KEY_BACKEND_TOKENS", "local")
}

/// A service whose services CA and transport CA have their keys in KMS.
struct Cloud {
    pki: Pki,
    proxy: FaultProxy,
    /// Where the key of the services CA is.
    services: String,
    /// Where the key of the transport CA is.
    transport: String,
    data_dir: TempDir,
}

impl Cloud {
    fn new() -> Self {
        Self::with(|launch| launch)
    }

    fn with(settings: impl FnOnce(Launch) -> Launch) -> Self {
        let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
        let pki = initialized(settings(launch_issuers(data_dir.path(), &proxy)));
        let [_, services, transport] = key_uris(&pki);
        Self { pki, proxy, services, transport, data_dir }
    }

    /// Ends the service, and starts it in the same directory.
    fn restarted(mut self, settings: impl FnOnce(Launch) -> Launch) -> Self {
        assert!(self.pki.service.stop().unwrap().success(), "{}", self.pki.service.log());
        self.pki = Pki::start(settings(launch_issuers(self.data_dir.path(), &self.proxy)));
        self
    }

    /// An operation on the key of the services CA.
    fn services(&self, operation: &str) -> When {
        When::calling(operation).of_key(&self.services)
    }

    /// From now on the key of the services CA signs so.
    fn signing(&self, fault: Fault) -> RuleId {
        self.proxy.script(self.services("Sign"), fault)
    }

    /// How often a key was asked to sign.
    fn signs(&self, key: &str) -> usize {
        let named = |call: &&Call| {
            call.operation == "Sign" && call.key.as_deref().is_some_and(|id| key.ends_with(id))
        };
        self.proxy.calls().iter().filter(named).count()
    }

    /// A certificate, which verifies.
    #[track_caller]
    fn issues(&self, service_type: &str, instance: &str) {
        let issued = self.pki.issue(service_type, instance);
        verifies(&self.pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
    }

    /// Waits until the services CA signs, whose answer verifies.
    fn recovers(&self) {
        eventually("the services CA to sign", || {
            (ask(&self.pki, "node", "back").status == 200).then_some(())
        });
        self.issues("node", "recovered");
        eventually("a status without warnings", || self.warnings().is_empty().then_some(()));
    }

    fn warnings(&self) -> Vec<String> {
        crate::pkcs11::warnings(&self.pki)
    }

    #[track_caller]
    fn warned(&self, parts: &[&str]) {
        let warnings = self.warnings();
        let one = warnings.iter().any(|warning| parts.iter().all(|part| warning.contains(part)));
        assert!(one, "{parts:?} are in none of {warnings:?}");
    }

    /// The value of a line of `/metrics`, by all that stands before it; `None`: there is no such line.
    fn metric(&self, line: &str) -> Option<f64> {
        metric(&self.pki, line)
    }

    /// Waits until a line of `/metrics` has this value, or is gone; the service looks at its keys twice a minute.
    #[track_caller]
    fn shows(&self, line: &str, value: Option<f64>) {
        for _ in 0..1200 {
            if self.metric(line) == value {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{line} is {:?}, not {value:?}", self.metric(line));
    }

    /// How many calls of an operation ended so.
    fn ended(&self, operation: &str, outcome: &str) -> f64 {
        let line = format!(
            "signing_duration_seconds_count{{backend=\"awskms\",operation=\"{operation}\",outcome=\"{outcome}\"}}"
        );
        self.metric(&line).unwrap_or_default()
    }

    /// What was said of keys that latched; each refused request has a line of its own besides.
    fn latched(&self) -> Vec<LogLine> {
        let lines = self.pki.service.log_lines().into_iter();
        lines.filter(|line| line.message.starts_with("Key latched")).collect()
    }

    fn retry(&self) -> (i32, String, String) {
        run(&self.pki.service, &["backend", "retry", "aws-kms"])
    }
}

/// Initialized, however long a busy machine's KMS takes: an initialization that was cut short is taken up again.
fn initialized(launch: Launch) -> Pki {
    let pki = Pki::start(launch);
    eventually("the hierarchy", || {
        let answer = pki.post("/pki/initialize", &json!({}));
        assert!([200, 503].contains(&answer.status), "{}", answer.text());
        (answer.status == 200).then_some(())
    });
    pki.ready()
}

fn key_state(ca_name: &str) -> String {
    format!("key_state{{backend=\"aws-kms\",ca_name=\"{ca_name}\"}}")
}

/// The value of a line of `/metrics`, by all that stands between `catalyst_pki_` and it.
fn metric(pki: &Pki, line: &str) -> Option<f64> {
    let metrics = pki.service.http().get("/metrics").unwrap().text();
    let line = format!("catalyst_pki_{line} ");
    metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok())
}
