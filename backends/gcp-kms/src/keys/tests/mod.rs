//! Against the fake of Google Cloud KMS.

mod conformance;

use crate::{
    Credentials, GcpKmsBackend, GcpKmsConfig, Opening, Protection, Reference, Rings, client::Clients,
};
use catalyst_rigs::gcp::FakeKms;
use google_cloud_auth::credentials::anonymous;
use std::time::Duration;

const RING: &str = "projects/p/locations/europe-west3/keyRings/r";

fn config(fake: &FakeKms) -> GcpKmsConfig {
    GcpKmsConfig {
        name: "gcp-kms".to_owned(),
        rings: rings(),
        protection: Protection::Hsm,
        credentials: Credentials::Default,
        opening: Opening::Kept,
        endpoint: Some(fake.endpoint()),
        calls_per_second: 1000,
        call_timeout: Duration::from_secs(10),
    }
}

fn rings() -> Rings {
    let ring = Some(Reference::parse(RING).unwrap().ring());
    Rings { root: ring.clone(), services: ring.clone(), transport: ring.clone(), token: ring }
}

/// One that began now: a restart.
fn backend(fake: &FakeKms) -> GcpKmsBackend {
    GcpKmsBackend::over(Clients::loading(config(fake), |_| Ok(anonymous::Builder::new().build())))
}

/// With the key ring in it.
fn fake() -> FakeKms {
    let fake = FakeKms::start().unwrap();
    fake.ring(RING).unwrap();
    fake
}
