//! Keys in Google Cloud KMS, and the whole service, while Cloud KMS fails: the fake does what a test says.

mod answers;
mod away;
mod check;
mod credentials;
mod killed;
mod latching;
mod neighbours;
mod passing;
mod rights;
mod states;

use crate::{
    auth_cli::run,
    cloud_faults::{FailingCloud, SERVICES_CA, TRANSPORT_CA, initialized},
    pkcs11::{ask, key_uris, refusal, with},
    pki::{Pki, eventually, launch_in, ok, refused, verifies},
};
use catalyst_rigs::{
    Launch,
    gcp::{
        Effect, FakeKms, On, Refusal, When,
        api::{Code, Method},
    },
};
use serde_json::json;
use std::{path::Path, thread, time::Duration};
use tempfile::TempDir;

const PROJECT: &str = "projects/p";
const RING: &str = "projects/p/locations/europe-west3/keyRings/pki";

/// A fake with the key ring.
pub(crate) fn fake() -> FakeKms {
    let fake = FakeKms::start().unwrap();
    fake.ring(RING).unwrap();
    fake
}

/// The variables with which `catalyst` asks the fake, with the credentials of the machine that it is the metadata server
/// of.
pub(crate) fn variables(fake: &FakeKms) -> Vec<(String, String)> {
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
}

impl FailingCloud for Cloud {
    const STORE: &'static str = "gcp-kms";
    const LABEL: &'static str = "gcpkms";
    const RATE_SETTING: &'static str = "CATALYST_PKI_GCP_RATE";
    type Fault = Effect;

    fn with(settings: impl FnOnce(Launch) -> Launch) -> Self {
        let (fake, data_dir) = (fake(), TempDir::new().unwrap());
        let pki = initialized(settings(launch_issuers(data_dir.path(), &fake)));
        let [_, services, transport] = key_uris(&pki).map(|uri| version(&uri).to_owned());
        Self { pki, fake, services, transport, data_dir }
    }

    fn pki(&self) -> &Pki {
        &self.pki
    }

    fn services_key(&self) -> &str {
        &self.services
    }

    fn signing(&self, effect: Effect) {
        self.services(Method::AsymmetricSign, When::Always, effect);
    }

    fn signing_first(&self, times: usize, effect: Effect) {
        self.services(Method::AsymmetricSign, When::First(times.try_into().unwrap()), effect);
    }

    fn heal(&self) {
        self.fake.clear().unwrap();
    }

    fn signs(&self) -> usize {
        signs(&self.fake, &self.services)
    }
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
