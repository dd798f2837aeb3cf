//! The whole backend against a small fake of KMS on a loopback port.

mod credentials;
mod failover;
mod fake;
mod hostile;
mod paging;
mod resolving;
mod signing;
mod troubles;

use crate::{AwsKmsBackend, AwsKmsConfig, Credentials, Opening, client::Clients, client::settings};
use aws_config::SdkConfig;
use catalyst_signing::{
    KeyIntent, KeyPin, KeyRole, KeyUri, Nonce, SignatureAlgorithm, SigningBackend, SigningKey,
};
use fake::{Fake, Reply, Request};
use serde_json::json;
use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{advance, pause, resume};

const HOME: &str = "eu-central-1";
const WEST: &str = "eu-west-1";
const NORTH: &str = "eu-north-1";
const ID: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";

fn arn(region: &str) -> String {
    format!("arn:aws:kms:{region}:111122223333:key/{ID}")
}

/// Committed so long ago.
fn intent(age: Duration) -> KeyIntent {
    KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".into(),
        role: KeyRole::Services,
        generation: 1,
        algorithm: SignatureAlgorithm::EcP384,
        created_at: SystemTime::now() - age,
    }
}

fn pin(algorithm: SignatureAlgorithm) -> KeyPin {
    let uri = KeyUri::parse(&format!("awskms:{}", arn(HOME))).unwrap();
    KeyPin { uri, algorithm, spki: b"the pinned key".to_vec() }
}

fn config(fake: &Fake) -> AwsKmsConfig {
    AwsKmsConfig {
        name: "aws-kms".into(),
        region: Some(HOME.into()),
        credentials: Credentials::Chain,
        opening: Opening::Kept,
        endpoint: Some(fake.endpoint()),
        use_fips: false,
        failover_regions: Vec::new(),
        calls_per_second: 100,
        call_timeout: Duration::from_secs(20),
        settle: Duration::from_secs(2),
        key_policy: None,
    }
}

type Loading = Pin<Box<dyn Future<Output = SdkConfig> + Send>>;

fn fixed(id: &'static str) -> aws_credential_types::Credentials {
    aws_credential_types::Credentials::builder()
        .access_key_id(id)
        .secret_access_key("TheSecretAccessKey")
        .session_token("TheSessionToken")
        .provider_name("test")
        .build()
}

fn load(config: AwsKmsConfig) -> Loading {
    Box::pin(async move { settings(&config).credentials_provider(fixed("AKIDTESTWXYZ")).load().await })
}

fn backend(config: AwsKmsConfig) -> AwsKmsBackend {
    AwsKmsBackend::over(Clients::loading(config, load))
}

async fn open(config: AwsKmsConfig) -> Arc<dyn SigningKey> {
    backend(config).open(&pin(SignatureAlgorithm::EcP384)).await.unwrap()
}

/// Lets time pass for what waits, without waiting.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

/// What KMS would answer.
fn well(request: &Request) -> Reply {
    let key = arn(&request.region);
    match request.operation.as_str() {
        "Sign" => Reply::json(
            200,
            &json!({ "KeyId": key, "SigningAlgorithm": request.body["SigningAlgorithm"], "Signature": "c2lnbmF0dXJl" }),
        ),
        "GetPublicKey" => Reply::json(200, &json!({ "KeyId": key, "PublicKey": "dGhlIHBpbm5lZCBrZXk=" })),
        _ => denied(&request.operation),
    }
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "__type": code, "message": message }))
}

fn denied(operation: &str) -> Reply {
    error(
        400,
        "AccessDeniedException",
        &format!("User: arn:aws:iam::111122223333:user/ca is not authorized to perform: kms:{operation}"),
    )
}
