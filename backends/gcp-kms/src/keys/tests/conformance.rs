//! The signing contract, on the fake.

use super::{backend, fake};
use async_trait::async_trait;
use catalyst_rigs::gcp::FakeKms;
use catalyst_signing::{
    SigningBackend,
    conformance::{self, Harness},
};
use std::sync::Arc;

struct InRing(FakeKms);

#[async_trait]
impl Harness for InRing {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        Arc::new(backend(&self.0))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_keeps_the_signing_contract() {
    conformance::run_all(&InRing(fake())).await.assert();
}
