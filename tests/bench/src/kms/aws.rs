//! AWS KMS: a proxy in this process stands for it, signs by itself, and answers as late as it is told.

use super::{Call, Kms};
use crate::{
    Outcome,
    process::{cpu_of_threads, own_cpu},
};
use catalyst_rigs::{
    Launch,
    aws::{Fault, FaultProxy, When},
};
use serde_json::json;
use std::{net::SocketAddr, time::Duration};

const REGION: &str = "eu-central-1";
/// Who asks for no service.
const BARE: &str = "bare";

pub(crate) struct Aws(FaultProxy);

impl Kms for Aws {
    const SIGN: &'static str = "Sign";

    fn start() -> Outcome<Self> {
        let proxy = FaultProxy::at_hand()?;
        proxy.sign_alone();
        Ok(Self(proxy))
    }

    fn serve(&self, launch: Launch) -> Launch {
        let launch = launch
            .env("CATALYST_PKI_KEY_BACKEND", "aws-kms")
            .env("CATALYST_PKI_AWS_REGION", REGION)
            .env("CATALYST_PKI_AWS_ENDPOINT", &self.0.endpoint())
            .env("CATALYST_PKI_AWS_RATE", "100000");
        let credentials = self.0.localstack().credentials();
        credentials.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
    }

    fn address(&self) -> Outcome<SocketAddr> {
        Ok(self.0.endpoint().trim_start_matches("http://").parse()?)
    }

    fn bare(&self, key: &str) -> Vec<u8> {
        let body = json!({
            "KeyId": key,
            "Message": "A".repeat(64),
            "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_384",
        });
        let (body, signature) = (body.to_string(), "0".repeat(64));
        format!(
            "POST / HTTP/1.1\r\nhost: kms\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amz-target: TrentService.Sign\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={BARE}/20260101/{REGION}/kms/aws4_request, SignedHeaders=x-amz-target, \
             Signature={signature}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    fn slow(&self, key: Option<&str>, late: Duration) -> Outcome {
        let when = When::calling(Self::SIGN);
        self.0.script(key.map_or(when.clone(), |key| when.of_key(key)), Fault::Slow(late));
        Ok(())
    }

    fn heal(&self) -> Outcome {
        self.0.heal();
        Ok(())
    }

    fn calls(&self) -> Outcome<Vec<Call>> {
        let calls = self.0.calls().into_iter().filter(|call| call.access_key_id != BARE);
        Ok(calls.map(|call| Call { operation: call.operation, key: call.key }).collect())
    }

    fn cpu(&self) -> Outcome<[Duration; 2]> {
        let kms = cpu_of_threads(FaultProxy::THREADS)?;
        Ok([kms, own_cpu().saturating_sub(kms)])
    }
}
