//! A replicated key behind the guard, while its own Region is away.

use super::*;
use catalyst_rigs::aws::{Fault, When};
use catalyst_signing::{
    Guard, GuardedKey, KeyHealth, KeyLifecycle, KeyPin, KeyPolicy, NoObserver, Purpose, SigningBackend,
};
use std::sync::Arc;
use tokio::time::Instant;

/// Shorter than the callers' patience, so that there is time for another Region.
const CALL: Duration = Duration::from_secs(2);

/// A new process' key store.
fn begun(proxy: &FaultProxy) -> Arc<dyn SigningBackend> {
    let failover_regions = vec![OTHER_REGION.to_owned()];
    Arc::new(over(AwsKmsConfig { failover_regions, call_timeout: CALL, ..config(proxy) }))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn open(store: Arc<dyn SigningBackend>, pin: &KeyPin) -> GuardedKey {
    let policy = KeyPolicy {
        name: "services".to_owned(),
        deployment: "0123456789abcdef".to_owned(),
        purposes: &[Purpose::Certificate],
        concurrency: 16,
        probe: false,
    };
    Guard::new(Arc::new(NoObserver)).open(store, pin.clone(), policy, soon()).await.unwrap()
}

async fn sign(key: &GuardedKey) -> Result<()> {
    key.sign(Purpose::Certificate, b"to be signed".to_vec(), soon()).await.map(drop)
}

#[tokio::test]
async fn one_request_outlives_its_region() {
    for fault in [Fault::Hangs, Fault::Internal, Fault::Unavailable, Fault::Reset, Fault::Page] {
        let proxy = proxy();
        let pin = replicating(&proxy).create(&intent(SignatureAlgorithm::EcP384)).await.unwrap();
        let key = open(begun(&proxy), &pin).await;
        sign(&key).await.unwrap();
        assert_eq!(key.view().now().unwrap().elsewhere, None);

        proxy.script(When::any().in_region(REGION), fault);
        proxy.forget_calls();
        sign(&key).await.unwrap();
        assert_eq!(key.view().now().unwrap().elsewhere.as_deref(), Some(OTHER_REGION));
        assert_eq!(proxy.count("Sign"), 2, "one at home, one elsewhere");
        assert_eq!(key.health(), KeyHealth::Ready);
        assert!(key.caution().unwrap().contains("eu-central-1 does not answer"));
    }
}

#[tokio::test]
async fn a_process_that_begins_while_the_region_is_away_opens_its_key() {
    let proxy = proxy();
    let pin = replicating(&proxy).create(&intent(SignatureAlgorithm::EcP384)).await.unwrap();
    proxy.script(When::any().in_region(REGION), Fault::Hangs);
    let key = open(begun(&proxy), &pin).await;
    sign(&key).await.unwrap();
    assert_eq!(key.view().now().unwrap().elsewhere.as_deref(), Some(OTHER_REGION));
}

#[tokio::test]
async fn nothing_that_is_wrong_elsewhere_latches_the_key() {
    for fault in [Fault::Denied, Fault::FlippedBit, Fault::NotFound] {
        let proxy = proxy();
        let pin = replicating(&proxy).create(&intent(SignatureAlgorithm::EcP384)).await.unwrap();
        let key = open(begun(&proxy), &pin).await;
        proxy.script(When::calling("Sign").in_region(REGION).first(2), Fault::Internal);
        proxy.script(When::calling("Sign").in_region(OTHER_REGION), fault);
        sign(&key).await.unwrap();
        assert_eq!(key.view().now().unwrap().elsewhere, None, "the last resort is home");
        assert_eq!(key.health(), KeyHealth::Ready);
    }
}
