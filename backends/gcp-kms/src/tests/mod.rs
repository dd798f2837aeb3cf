//! The signing side against the fake of Google Cloud KMS, and against what is no Cloud KMS at all.

mod answers;
mod connections;
mod credentials;
mod guarded;
mod keys;
mod strangers;
pub(crate) mod wire;

use crate::{
    Credentials, GcpKmsBackend, GcpKmsConfig, Opening, Protection, Reference, Rings, client::Clients,
};
use catalyst_rigs::gcp::{
    Effect, FakeKms, On, Plant, When,
    api::{Algorithm, Method, ProtectionLevel},
};
use catalyst_signing::{KeyPin, KeyUri, SignatureAlgorithm, SigningBackend, SigningKey};
use google_cloud_auth::credentials::anonymous;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const RING: &str = "projects/p/locations/europe-west3/keyRings/r";
const VERSION: &str = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/ca/cryptoKeyVersions/1";

fn config(endpoint: &str) -> GcpKmsConfig {
    let ring = Some(Reference::parse(RING).unwrap().ring());
    GcpKmsConfig {
        name: "gcp-kms".to_owned(),
        rings: Rings { root: ring.clone(), services: ring.clone(), transport: ring.clone(), token: ring },
        protection: Protection::Hsm,
        credentials: Credentials::Default,
        opening: Opening::Kept,
        endpoint: Some(endpoint.to_owned()),
        calls_per_second: 1000,
        call_timeout: Duration::from_secs(10),
    }
}

/// Without credentials.
fn backend(config: GcpKmsConfig) -> GcpKmsBackend {
    GcpKmsBackend::over(Clients::loading(config, |_| Ok(anonymous::Builder::new().build())))
}

/// An algorithm, as Google names it and where the fake holds such keys.
#[derive(Clone, Copy, Debug)]
struct Kind {
    ours: SignatureAlgorithm,
    googles: Algorithm,
    level: ProtectionLevel,
}

impl Kind {
    const fn hsm(ours: SignatureAlgorithm, googles: Algorithm) -> Self {
        Self { ours, googles, level: ProtectionLevel::Hsm }
    }

    fn protection(self) -> Protection {
        match self.level {
            ProtectionLevel::Hsm => Protection::Hsm,
            ProtectionLevel::Software => Protection::Software,
        }
    }

    fn other_level(self) -> ProtectionLevel {
        match self.level {
            ProtectionLevel::Hsm => ProtectionLevel::Software,
            ProtectionLevel::Software => ProtectionLevel::Hsm,
        }
    }
}

const P256: Kind = Kind::hsm(SignatureAlgorithm::EcP256, Algorithm::EcSignP256Sha256);
const P384: Kind = Kind::hsm(SignatureAlgorithm::EcP384, Algorithm::EcSignP384Sha384);
const ED25519: Kind = Kind::hsm(SignatureAlgorithm::Ed25519, Algorithm::EcSignEd25519);
const ML_DSA: Kind = Kind {
    ours: SignatureAlgorithm::MlDsa65,
    googles: Algorithm::PqSignMlDsa65ExternalMu,
    level: ProtectionLevel::Software,
};

/// A fake with one key in it, and a way to it.
struct Rig {
    fake: FakeKms,
    pin: KeyPin,
    backend: Arc<dyn SigningBackend>,
}

impl Rig {
    async fn of(kind: Kind) -> Self {
        let fake = FakeKms::start().unwrap();
        let version = plant(&fake, kind, "ca");
        let backend = backend(GcpKmsConfig { protection: kind.protection(), ..config(&fake.endpoint()) });
        let pin = backend.resolve(&version, kind.ours).await.unwrap();
        Self { fake, pin, backend: Arc::new(backend) }
    }

    async fn open(&self) -> Arc<dyn SigningKey> {
        self.backend.open(&self.pin).await.unwrap()
    }

    /// From now on this goes wrong with every call of the method.
    fn wrong(&self, method: Method, effect: Effect) {
        self.fake.clear().unwrap();
        self.fake.add(On { method: Some(method), ..On::default() }, When::Always, effect).unwrap();
    }

    fn signatures(&self) -> usize {
        self.fake.count(Method::AsymmetricSign).unwrap()
    }
}

fn plant(fake: &FakeKms, kind: Kind, id: &str) -> String {
    let key = format!("{RING}/cryptoKeys/{id}");
    let plant = Plant { key, algorithm: kind.googles, protection_level: kind.level, labels: BTreeMap::new() };
    fake.plant(&plant).unwrap()
}

/// Of a key that nobody has.
fn pin(algorithm: SignatureAlgorithm) -> KeyPin {
    let uri = KeyUri::parse(&format!("gcpkms:{VERSION}")).unwrap();
    KeyPin { uri, algorithm, spki: b"the pinned key".to_vec() }
}

/// A key of an endpoint, without credentials.
pub(crate) async fn open(endpoint: &str, call_timeout: Duration) -> Arc<dyn SigningKey> {
    let config = GcpKmsConfig { call_timeout, ..config(endpoint) };
    backend(config).open(&pin(SignatureAlgorithm::EcP384)).await.unwrap()
}
