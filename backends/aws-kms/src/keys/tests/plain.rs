//! The signing contract on LocalStack itself, with what it has: nobody helps it along.

use super::{at, over};
use async_trait::async_trait;
use catalyst_rigs::aws::LocalStack;
use catalyst_signing::{
    SignatureAlgorithm, SigningBackend,
    conformance::{self, Harness, Verdict},
};
use std::sync::Arc;

struct Plain(LocalStack);

#[async_trait]
impl Harness for Plain {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        Arc::new(over(at(self.0.endpoint())))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn localstack_alone_keeps_the_signing_contract_with_the_keys_it_has() {
    let report = conformance::run_all(&Plain(LocalStack::at_hand().unwrap())).await;
    report.assert();
    // Look-alikes are planted through the proxy.
    let lacking = report.checks.iter().filter_map(|check| match &check.verdict {
        Verdict::Skipped(why) if why != "the harness plants none" => Some((check.rule, why)),
        _ => None,
    });
    let (rules, reasons): (Vec<_>, Vec<_>) = lacking.unzip();
    assert_eq!(rules, ["a key is found after a restart", "signatures verify at every size"], "{report}");
    for algorithm in SignatureAlgorithm::ALL.iter().map(ToString::to_string) {
        let lacks = ["ED25519", "ML-DSA-65", "ML-DSA-87"].contains(&algorithm.as_str());
        assert!(reasons.iter().all(|why| why.contains(&algorithm) == lacks), "{algorithm}: {report}");
    }
}
