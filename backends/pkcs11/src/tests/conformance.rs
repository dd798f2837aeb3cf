//! The suite that every backend must pass, on both modules.

use super::{backend, kryoptic, plant, softhsm};
use async_trait::async_trait;
use catalyst_rigs::pkcs11::TestToken;
use catalyst_signing::{
    KeyIntent, SignatureAlgorithm, SigningBackend,
    conformance::{self, Harness, LookAlike, Verdict},
};
use std::sync::Arc;

struct OnToken(TestToken);

#[async_trait]
impl Harness for OnToken {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        let backend = backend(&self.0);
        // So that its capabilities are the token's.
        backend.describe().await.unwrap();
        Arc::new(backend)
    }

    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        let backend = backend(&self.0);
        match kind {
            LookAlike::Foreign => Some(plant::foreign(&backend, intent).await),
            LookAlike::Imported => Some(plant::imported(&backend, intent).await),
            LookAlike::Twin => Some(plant::twin(&backend, intent).await),
            // A token keeps no time of making.
            _ => None,
        }
    }

    fn leaks(&self, text: &str) -> bool {
        text.contains(&self.0.pin)
    }
}

async fn keeps_the_contract(token: TestToken, algorithms: &[SignatureAlgorithm]) {
    let harness = OnToken(token);
    let backend = harness.backend().await;
    let made: Vec<_> = backend.capabilities().iter().filter(|c| c.creates).map(|c| c.algorithm).collect();
    assert_eq!(made, algorithms);
    let report = conformance::run_all(&harness).await;
    report.assert();
    let skipped = report.checks.iter().filter(|c| matches!(c.verdict, Verdict::Skipped(_)));
    let skipped: Vec<_> = skipped.map(|c| c.rule).collect();
    assert_eq!(skipped, ["a key older than its intent is not adopted"], "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn softhsm_keeps_the_signing_contract() {
    use SignatureAlgorithm as A;
    let algorithms = [A::EcP384, A::EcP256, A::Rsa3072, A::Rsa4096, A::Rsa3072Pss, A::Rsa4096Pss, A::Ed25519];
    keeps_the_contract(softhsm(), &algorithms).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kryoptic_keeps_the_signing_contract() {
    keeps_the_contract(kryoptic(), SignatureAlgorithm::ALL).await;
}
