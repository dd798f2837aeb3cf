//! Against the fake of Google Cloud KMS.

mod adoption;
mod conformance;
mod giving_up;
mod kills;
mod looking;
mod making;
mod names;
mod patience;
mod permissions;
mod plant;
mod resolving;
mod waiting;

use crate::{
    Credentials, GcpKmsBackend, GcpKmsConfig, Opening, Protection, Reference, Rings, client::Clients,
};
use catalyst_rigs::gcp::FakeKms;
use catalyst_signing::{KeyIntent, KeyRole, Nonce, Refusal, Result, SignError, SignatureAlgorithm};
use google_cloud_auth::{
    credentials::{self as google, CacheableResource, CredentialsProvider, EntityTag},
    errors::CredentialsError,
};
use http::{Extensions, HeaderMap, HeaderValue, header::AUTHORIZATION};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

const RING: &str = "projects/p/locations/europe-west3/keyRings/r";
/// What is sent with every call, unless somebody else asks.
const SECRET: &str = "a-token-that-nobody-checks";

fn config(fake: &FakeKms) -> GcpKmsConfig {
    GcpKmsConfig {
        name: "gcp-kms".to_owned(),
        rings: rings(RING),
        protection: Protection::Hsm,
        credentials: Credentials::Default,
        opening: Opening::Kept,
        endpoint: Some(fake.endpoint()),
        calls_per_second: 1000,
        call_timeout: Duration::from_secs(10),
    }
}

/// One for every role.
fn rings(name: &str) -> Rings {
    let ring = Some(Reference::parse(name).unwrap().ring());
    Rings { root: ring.clone(), services: ring.clone(), transport: ring.clone(), token: ring }
}

/// One that began now: a restart.
fn backend(fake: &FakeKms) -> GcpKmsBackend {
    over(config(fake))
}

/// Where keys in software are good enough.
fn software(fake: &FakeKms) -> GcpKmsBackend {
    over(GcpKmsConfig { protection: Protection::Software, ..config(fake) })
}

/// Who comes with this token: the fake takes it for a name.
fn of(caller: &str) -> Credentials {
    Credentials::Impersonated { account: caller.to_owned(), file: None }
}

fn over(config: GcpKmsConfig) -> GcpKmsBackend {
    GcpKmsBackend::over(clients(config))
}

fn clients(config: GcpKmsConfig) -> Clients {
    Clients::loading(config, |config| {
        Ok(google::Credentials::from(Token(match &config.credentials {
            Credentials::Impersonated { account, .. } => account.clone(),
            _ => SECRET.to_owned(),
        })))
    })
}

struct Token(String);

/// As Google's own credentials show themselves: without the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl CredentialsProvider for Token {
    async fn headers(
        &self,
        _: Extensions,
    ) -> std::result::Result<CacheableResource<HeaderMap>, CredentialsError> {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.0)).unwrap();
        let data = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// With the key ring in it.
fn fake() -> FakeKms {
    let fake = FakeKms::start().unwrap();
    fake.ring(RING).unwrap();
    fake
}

/// What was committed now.
fn intent(algorithm: SignatureAlgorithm) -> KeyIntent {
    KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".to_owned(),
        role: KeyRole::Services,
        generation: 1,
        algorithm,
        created_at: SystemTime::now(),
    }
}

/// The words of a refusal of this kind.
#[track_caller]
fn refusal<T>(answer: Result<T>, wanted: Refusal) -> String {
    match answer {
        Err(SignError::Refused { kind, reason }) if kind == wanted => reason,
        Err(other) => panic!("not {wanted:?}: {other}"),
        Ok(_) => panic!("nothing was refused"),
    }
}

/// The words of what may pass.
#[track_caller]
fn transient<T>(answer: Result<T>) -> String {
    match answer {
        Err(SignError::Transient { reason, .. }) => reason,
        Err(other) => panic!("not transient: {other}"),
        Ok(_) => panic!("nothing went wrong"),
    }
}
