//! The signing contract, on LocalStack behind the proxy.

use super::{SECRET, backend, plant, proxy};
use async_trait::async_trait;
use catalyst_rigs::aws::{Fault, FaultProxy, Says, When};
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, Nonce, SigningBackend,
    conformance::{self, Harness, LookAlike},
};
use std::{sync::Arc, time::Duration};

struct InAccount(FaultProxy);

impl InAccount {
    /// A key of the intent, of which KMS says this.
    async fn said(&self, intent: &KeyIntent, says: Says) -> Vec<u8> {
        let pin = backend(&self.0).create(intent).await.unwrap();
        self.0.script(When::calling("DescribeKey").of_key(pin.uri.as_str()), Fault::Says(says));
        pin.spki
    }
}

#[async_trait]
impl Harness for InAccount {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        Arc::new(backend(&self.0))
    }

    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        match kind {
            LookAlike::Foreign => {
                let other = KeyIntent { nonce: Nonce::random().unwrap(), ..intent.clone() };
                Some(backend(&self.0).create(&other).await.unwrap().spki)
            }
            LookAlike::Older => Some(self.said(intent, Says::MadeEarlier(Duration::from_secs(600))).await),
            LookAlike::Imported => Some(self.said(intent, Says::Imported).await),
            LookAlike::Twin => {
                let arn = plant::key(&self.0, &[("Tags", plant::tags(intent))]);
                Some(backend(&self.0).resolve(&arn, intent.algorithm).await.unwrap().spki)
            }
            _ => None,
        }
    }

    fn leaks(&self, text: &str) -> bool {
        text.contains(SECRET)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn localstack_keeps_the_signing_contract() {
    let report = conformance::run_all(&InAccount(proxy())).await;
    report.assert();
    assert!(!report.to_string().contains("skipped"), "{report}");
}
