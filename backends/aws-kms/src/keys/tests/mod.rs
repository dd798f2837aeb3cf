//! Against LocalStack, through a proxy that fails when a test says so.

mod adoption;
mod conformance;
mod elsewhere;
mod giving_up;
mod kills;
mod looking;
mod making;
mod plain;
mod plant;

use crate::{
    AwsKmsBackend, AwsKmsConfig, Credentials, Opening,
    client::{Clients, settings},
};
use aws_config::SdkConfig;
use catalyst_rigs::aws::FaultProxy;
use catalyst_signing::{KeyIntent, KeyRole, Nonce, Refusal, Result, SignError, SignatureAlgorithm};
use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

const REGION: &str = "eu-central-1";
const SECRET: &str = "a-secret-that-nobody-checks";
/// Where multi-Region keys are replicated.
const OTHER_REGION: &str = "eu-west-1";

fn proxy() -> FaultProxy {
    FaultProxy::at_hand().unwrap()
}

fn config(proxy: &FaultProxy) -> AwsKmsConfig {
    at(proxy.endpoint())
}

fn at(endpoint: String) -> AwsKmsConfig {
    AwsKmsConfig {
        name: "aws-kms".to_owned(),
        region: Some(REGION.to_owned()),
        credentials: Credentials::Chain,
        opening: Opening::Kept,
        endpoint: Some(endpoint),
        use_fips: false,
        failover_regions: Vec::new(),
        calls_per_second: 1000,
        call_timeout: Duration::from_secs(10),
        settle: Duration::from_secs(1),
        key_policy: None,
    }
}

fn over(config: AwsKmsConfig) -> AwsKmsBackend {
    AwsKmsBackend::over(Clients::loading(config, load))
}

/// The proxy knows whose account it is, whoever asks.
fn load(config: AwsKmsConfig) -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    let credentials = aws_credential_types::Credentials::new("AKIDTESTWXYZ", SECRET, None, None, "test");
    Box::pin(async move { settings(&config).credentials_provider(credentials).load().await })
}

/// One that began now: a restart.
fn backend(proxy: &FaultProxy) -> AwsKmsBackend {
    over(config(proxy))
}

/// One whose keys sign in another Region too.
fn replicating(proxy: &FaultProxy) -> AwsKmsBackend {
    over(AwsKmsConfig { failover_regions: vec![OTHER_REGION.to_owned()], ..config(proxy) })
}

/// What was committed now.
fn intent(algorithm: SignatureAlgorithm) -> KeyIntent {
    let nonce = Nonce::random().unwrap();
    KeyIntent {
        nonce,
        deployment: "0123456789abcdef".to_owned(),
        role: KeyRole::Services,
        generation: 1,
        algorithm,
        created_at: SystemTime::now(),
    }
}

/// The words of a refusal of this kind.
fn refusal<T>(answer: Result<T>, wanted: Refusal) -> String {
    match answer {
        Err(SignError::Refused { kind, reason }) if kind == wanted => reason,
        Err(other) => panic!("not {wanted:?}: {other}"),
        Ok(_) => panic!("nothing was refused"),
    }
}
