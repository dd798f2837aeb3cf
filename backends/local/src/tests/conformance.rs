//! The suite that every backend must pass, over files and in memory.

use super::*;
use crate::EphemeralBackend;
use async_trait::async_trait;
use catalyst_signing::conformance::{self, Harness, LookAlike, Verdict};
use std::{sync::Arc, time::Duration};

struct Files(TempDir);

#[async_trait]
impl Harness for Files {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        Arc::new(cheap(self.0.path()))
    }

    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        let planted = match kind {
            LookAlike::Foreign => KeyIntent { nonce: Nonce::from_bytes([0xee; 16]), ..intent.clone() },
            LookAlike::Older => {
                // The file keeps when it was made, so the intent has to be the later one.
                return older(self.0.path(), intent).await;
            }
            // A file has one name, and nothing tells where its key came from but the intent inside.
            _ => return None,
        };
        Some(cheap(self.0.path()).create(&planted).await.unwrap().spki)
    }

    fn leaks(&self, text: &str) -> bool {
        text.contains(PASSPHRASE)
    }
}

/// Writes a key file that carries the intent and was made ten minutes before it.
async fn older(directory: &Path, intent: &KeyIntent) -> Option<Vec<u8>> {
    use crate::{carried, envelope, files, key::LocalKey, material::Material};
    let pkcs8 = Material::generate(intent.algorithm)?.unwrap();
    let made = intent.created_at - Duration::from_secs(600);
    let carried = carried::seal(intent, made, &envelope::private_key(&pkcs8).unwrap());
    let pem = envelope::lock(&pkcs8, &carried, &PASSPHRASE.into(), Cost::TEST).unwrap();
    let path = directory.join(format!("{}-{}.pem", intent.role, intent.generation));
    assert!(files::write_new(&path, pem.as_bytes()).unwrap());
    Some(LocalKey::new(&pkcs8, intent.algorithm, path, None).unwrap().spki().to_vec())
}

struct Memory(EphemeralBackend);

#[async_trait]
impl Harness for Memory {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        Arc::new(self.0.clone())
    }

    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        let foreign = KeyIntent { nonce: Nonce::from_bytes([0xee; 16]), ..intent.clone() };
        match kind {
            LookAlike::Foreign => Some(self.0.create(&foreign).await.unwrap().spki),
            _ => None,
        }
    }
}

fn skipped(report: &conformance::Report) -> Vec<&'static str> {
    report.checks.iter().filter(|c| matches!(c.verdict, Verdict::Skipped(_))).map(|c| c.rule).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_the_signing_contract() {
    let report = conformance::run_all(&Files(directory())).await;
    report.assert();
    let untried = ["an imported key is not adopted", "of two matching keys none is adopted"];
    assert_eq!(skipped(&report), untried, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_signing_contract() {
    let report = conformance::run_all(&Memory(EphemeralBackend::new())).await;
    report.assert();
    assert_eq!(skipped(&report).len(), 3, "{report}");
}
