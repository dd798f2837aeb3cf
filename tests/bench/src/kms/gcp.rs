//! Google Cloud KMS: a fake stands for it, a process of its own that was built beside this one.

use super::{Call, Kms};
use crate::{
    Outcome,
    process::{cpu_of, own_cpu},
};
use catalyst_rigs::{
    Launch,
    gcp::{Effect, FakeKms, On, When, api::Method, crc32c},
};
use serde_json::json;
use std::{env, net::SocketAddr, time::Duration};

const RING: &str = "projects/p/locations/europe-west3/keyRings/bench";
/// Who asks for no service.
const BARE: &str = "bare";

pub(crate) struct Gcp(FakeKms);

impl Kms for Gcp {
    const SIGN: &'static str = "AsymmetricSign";

    fn start() -> Outcome<Self> {
        let program = env::current_exe()?.with_file_name("gcp-fake");
        if !program.exists() {
            return Err("the fake is not there: cargo build --release -p gcp-fake".into());
        }
        let fake = FakeKms::of(&program)?;
        fake.ring(RING)?;
        Ok(Self(fake))
    }

    fn serve(&self, launch: Launch) -> Launch {
        launch
            .env("CATALYST_PKI_KEY_BACKEND", "gcp-kms")
            .env("CATALYST_PKI_KMS_KEY_NAME", RING)
            .env("CATALYST_PKI_GCP_ENDPOINT", &self.0.endpoint())
            .env("CATALYST_PKI_GCP_RATE", "100000")
            .env("GCE_METADATA_HOST", &self.0.address().to_string())
            .env("HOME", "/nowhere")
    }

    fn address(&self) -> Outcome<SocketAddr> {
        Ok(self.0.address())
    }

    fn bare(&self, key: &str) -> Vec<u8> {
        let digest = [0; 48];
        // Base64 of 48 zeros.
        let body = json!({
            "digest": {"sha384": "A".repeat(64)},
            "digestCrc32c": crc32c(&digest).to_string(),
        });
        let body = body.to_string();
        format!(
            "POST /v1/{key}:asymmetricSign HTTP/1.1\r\nhost: kms\r\ncontent-type: application/json\r\n\
             authorization: Bearer {BARE}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    fn slow(&self, key: Option<&str>, late: Duration) -> Outcome {
        let on =
            On { method: Some(Method::AsymmetricSign), resource: key.map(str::to_owned), ..On::default() };
        Ok(self.0.add(on, When::Always, Effect::Slow(late))?)
    }

    fn heal(&self) -> Outcome {
        Ok(self.0.clear()?)
    }

    fn calls(&self) -> Outcome<Vec<Call>> {
        let calls = self.0.calls()?.into_iter().filter(|call| call.caller.as_deref() != Some(BARE));
        let operation = |method: Method| format!("{method:?}");
        Ok(calls.map(|call| Call { operation: operation(call.method), key: Some(call.resource) }).collect())
    }

    fn cpu(&self) -> Outcome<[Duration; 2]> {
        Ok([cpu_of(self.0.pid())?, own_cpu()])
    }
}
