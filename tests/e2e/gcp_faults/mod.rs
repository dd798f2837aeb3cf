//! Keys in Google Cloud KMS, and the whole service, while Cloud KMS fails: the fake does what a test says.

mod answers;
mod away;
mod check;
mod credentials;
mod killed;
mod latching;
mod neighbours;
mod passing;
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
    gcp::{
        Effect, FakeKms, On, Refusal, When,
        api::{Code, Method},
    },
    logs::LogLine,
};
use serde_json::json;
use std::{path::Path, thread, time::Duration};
use tempfile::TempDir;

const PROJECT: &str = "projects/p";
const RING: &str = "projects/p/locations/europe-west3/keyRings/pki";
const SERVICES_CA: &str = "Catalyst Services CA";
const TRANSPORT_CA: &str = "Catalyst Transport CA";

/// A fake with the key ring.
fn fake() -> FakeKms {
    let fake = FakeKms::start().unwrap();
    fake.ring(RING).unwrap();
    fake
}

/// The variables with which `catalyst` asks the fake, with the credentials of the machine that it is the metadata server
/// of.
fn variables(fake: &FakeKms) -> Vec<(String, String)> {
    let own = [
        ("CATALYST_PKI_GCP_ENDPOINT", fake.endpoint()),
        ("CATALYST_PKI_KMS_KEY_NAME", RING.to_owned()),
        ("GCE_METADATA_HOST", fake.address().to_string()),
        // No credentials of who runs the tests.
        ("HOME", "/nowhere".to_owned()),
    ];
    own.map(|(name, value)| (name.to_owned(), value)).into()
}

/// `catalyst serve` in this directory with every key in Cloud KMS.
fn launch(data_dir: &Path, fake: &FakeKms) -> Launch {
    with(launch_in(data_dir), &variables(fake)).env("CATALYST_PKI_KEY_BACKEND", "gcp-kms")
}

/// The same with the keys of the root and of tokens in files, which no fault reaches.
fn launch_issuers(data_dir: &Path, fake: &FakeKms) -> Launch {
    launch(data_dir, fake)
        .env("CATALYST_PKI_KEY_BACKEND_ROOT", "local")
        .env("CATALYST_PKI_KEY_BACKEND_TOKENS", "local")
}

/// A service whose services CA and transport CA have their keys in Cloud KMS.
struct Cloud {
    pki: Pki,
    fake: FakeKms,
    /// The version that is the services CA's.
    services: String,
    /// The version that is the transport CA's.
    transport: String,
    data_dir: TempDir,
}

impl Cloud {
    fn new() -> Self {
        Self::with(|launch| launch)
    }

    fn with(settings: impl FnOnce(Launch) -> Launch) -> Self {
        let (fake, data_dir) = (fake(), TempDir::new().unwrap());
        let pki = initialized(settings(launch_issuers(data_dir.path(), &fake)));
        let [_, services, transport] = key_uris(&pki).map(|uri| version(&uri).to_owned());
        Self { pki, fake, services, transport, data_dir }
    }

    /// Ends the service, and starts it in the same directory.
    fn restarted(mut self, settings: impl FnOnce(Launch) -> Launch) -> Self {
        assert!(self.pki.service.stop().unwrap().success(), "{}", self.pki.service.log());
        self.pki = Pki::start(settings(launch_issuers(self.data_dir.path(), &self.fake)));
        self
    }

    /// From now on this happens in these calls about the key of the services CA.
    fn services(&self, method: Method, when: When, effect: Effect) {
        self.fake.add(On { resource: Some(self.services.clone()), ..calling(method) }, when, effect).unwrap();
    }

    /// From now on the key of the services CA signs so.
    fn signing(&self, effect: Effect) {
        self.services(Method::AsymmetricSign, When::Always, effect);
    }

    fn heal(&self) {
        self.fake.clear().unwrap();
    }

    /// How often the key of the services CA was asked to sign so far.
    fn signs(&self) -> usize {
        signs(&self.fake, &self.services)
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
        assert_eq!(self.status().1, "healthy");
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

    /// The exit code of `catalyst pki status`, and its verdict.
    fn status(&self) -> (i32, &'static str) {
        let (code, stdout, stderr) = run(&self.pki.service, &["pki", "status"]);
        match stdout.lines().next() {
            Some("PKI Status: HEALTHY") => (code, "healthy"),
            Some("PKI Status: DEGRADED") => (code, "degraded"),
            _ => panic!("{stdout}{stderr}"),
        }
    }

    /// The value of a line of `/metrics`, by all that stands between `catalyst_pki_` and it; `None`: there is no such
    /// line.
    fn metric(&self, line: &str) -> Option<f64> {
        let metrics = self.pki.service.http().get("/metrics").unwrap().text();
        let line = format!("catalyst_pki_{line} ");
        metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok())
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

    /// How many signatures ended so.
    fn ended(&self, outcome: &str) -> f64 {
        let line = format!(
            "signing_duration_seconds_count{{backend=\"gcpkms\",operation=\"sign\",outcome=\"{outcome}\"}}"
        );
        self.metric(&line).unwrap_or_default()
    }

    /// What was said of keys that latched; each refused request has a line of its own besides.
    fn latched(&self) -> Vec<LogLine> {
        let lines = self.pki.service.log_lines().into_iter();
        lines.filter(|line| line.message.starts_with("Key latched")).collect()
    }

    fn retry(&self) -> (i32, String, String) {
        run(&self.pki.service, &["backend", "retry", "gcp-kms"])
    }
}

/// Initialized, however long a busy machine takes: an initialization that was cut short is taken up again.
fn initialized(launch: Launch) -> Pki {
    let pki = Pki::start(launch);
    eventually("the hierarchy", || {
        let answer = pki.post("/pki/initialize", &json!({}));
        assert!([200, 503].contains(&answer.status), "{}", answer.text());
        (answer.status == 200).then_some(())
    });
    pki.ready()
}

fn calling(method: Method) -> On {
    On { method: Some(method), ..On::default() }
}

fn refusing(code: Code) -> Effect {
    Effect::Refuse(Refusal::from(code))
}

/// The version that a key's URI names.
fn version(uri: &str) -> &str {
    uri.strip_prefix("gcpkms:").unwrap_or(uri)
}

/// How often a version was asked to sign so far.
fn signs(fake: &FakeKms, version: &str) -> usize {
    let calls = fake.calls().unwrap().into_iter();
    calls.filter(|call| call.method == Method::AsymmetricSign && call.resource == version).count()
}

fn key_state(ca_name: &str) -> String {
    format!("key_state{{backend=\"gcp-kms\",ca_name=\"{ca_name}\"}}")
}
