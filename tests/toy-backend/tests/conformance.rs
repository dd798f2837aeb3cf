//! The suite that every key store has to pass, and what the vault's troubles mean.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, KeyRole, Nonce, Refusal, SignError, SignatureAlgorithm, SigningBackend,
    TransientKind,
    conformance::{self, Harness, LookAlike, Verdict},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use toy_backend::{ToyBackend, ToyConfig, vault::Vault};

struct Toy {
    vault: Vault,
    _directory: TempDir,
}

impl Toy {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let vault = Vault::start(&directory.path().join("vault.sock")).unwrap();
        Self { vault, _directory: directory }
    }

    fn new_backend(&self) -> ToyBackend {
        ToyBackend::new(ToyConfig {
            socket: self.vault.socket().to_owned(),
            timeout: Duration::from_secs(10),
            calls_per_second: 10_000,
        })
    }
}

#[async_trait]
impl Harness for Toy {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        Arc::new(self.new_backend())
    }

    /// Makes the key that the intent would have, and has the vault tell something else of it.
    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        if kind == LookAlike::Twin {
            return None; // A name has one key.
        }
        let pin = self.new_backend().create(intent).await.unwrap();
        self.vault.alter(pin.uri.rest(), |key| match kind {
            LookAlike::Older => key.made -= 600,
            LookAlike::Imported => key.imported = true,
            _ => key.tags.clear(),
        });
        Some(pin.spki)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_signing_contract() {
    let report = conformance::run_all(&Toy::start()).await;
    report.assert();
    let skipped = report.checks.iter().filter(|check| matches!(check.verdict, Verdict::Skipped(_)));
    let skipped: Vec<&str> = skipped.map(|check| check.rule).collect();
    assert_eq!(skipped, ["of two matching keys none is adopted"], "{report}");
}

fn intent() -> KeyIntent {
    KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".into(),
        role: KeyRole::Probe,
        generation: 1,
        algorithm: SignatureAlgorithm::EcP384,
        created_at: SystemTime::now(),
    }
}

#[tokio::test]
async fn what_may_pass_is_transient_and_what_stays_is_refused() {
    let toy = Toy::start();
    let backend = toy.new_backend();
    let pin = backend.create(&intent()).await.unwrap();
    let key = backend.open(&pin).await.unwrap();

    toy.vault.fail(Some("busy"));
    let busy = key.sign(b"m").await.unwrap_err();
    assert!(matches!(
        busy,
        SignError::Transient { kind: TransientKind::Throttled, retry_after: Some(_), .. }
    ));
    toy.vault.fail(Some("a word of its next version"));
    let unknown = key.sign(b"m").await.unwrap_err();
    assert!(unknown.is_transient(), "{unknown}");
    toy.vault.fail(None);
    key.sign(b"m").await.unwrap();

    backend.schedule_destruction(&pin).await.unwrap();
    let destroyed = key.sign(b"m").await.unwrap_err();
    assert!(matches!(destroyed, SignError::Refused { kind: Refusal::Disabled, .. }), "{destroyed}");

    drop(toy);
    let away = key.sign(b"m").await.unwrap_err();
    assert!(away.is_transient() && away.to_string().contains("vault.sock"), "{away}");
}
