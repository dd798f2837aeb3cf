//! Key stores that do not answer, or do not open, while a backup is checked.

use super::*;
use async_trait::async_trait;
use catalyst_signing::{Capability, KeyPin, Refusal, SignError, SignatureAlgorithm, SigningKey};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Answers every opening with this.
#[derive(Debug)]
struct Failing(SignError);

#[async_trait]
impl SigningBackend for Failing {
    fn scheme(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> &[Capability] {
        const { &[Capability { algorithm: SignatureAlgorithm::EcP384, max_message: None, creates: true }] }
    }

    async fn resolve(&self, _: &str, _: SignatureAlgorithm) -> catalyst_signing::Result<KeyPin> {
        Err(self.0.clone())
    }

    async fn open(&self, _: &KeyPin) -> catalyst_signing::Result<Arc<dyn SigningKey>> {
        Err(self.0.clone())
    }
}

/// Counts the keys that are asked for.
#[derive(Default)]
struct Asked(AtomicUsize);

impl Watch for Asked {
    fn has_done(&self, step: &'static str, _: u64, of: u64) {
        assert_eq!((step, of), ("keys", 3));
        self.0.fetch_add(1, Relaxed);
    }

    fn is_stopped(&self) -> bool {
        false
    }
}

async fn found(verified: &Verification, error: SignError, is_file: bool) -> Vec<KeyFinding> {
    let store: Arc<dyn SigningBackend> = Arc::new(Failing(error));
    let (open, asked) = (|_: &str| Ok(store.clone()), Asked::default());
    let (manifest, facts) = (&verified.opened.manifest, &verified.facts);
    let checks = check_keys(manifest, facts, &open, &|_, _| is_file, &asked).await;
    assert_eq!(asked.0.load(Relaxed), 3);
    checks.into_iter().map(|check| check.finding).collect()
}

#[tokio::test]
async fn a_key_store_that_is_away_is_asked_once_and_one_that_refuses_is_told_apart() {
    let ca = Ca::new().await;
    let verified = ca.verify(&ca.backup().await, Trust::Root(ca.root())).unwrap();
    tokio::time::pause();
    let away = found(&verified, SignError::unavailable("no token in the slot"), false).await;
    let KeyFinding::Unreachable(why) = &away[0] else { panic!("{away:?}") };
    assert!(why.contains("no token in the slot"), "{why}");
    for other in &away[1..] {
        assert!(
            matches!(other, KeyFinding::Unreachable(why) if why.contains("not asked again")),
            "{other:?}"
        );
    }
    let wrong = || SignError::refused(Refusal::Pin, "/tmp/unpacked/services-1.pem does not open");
    for (is_file, said) in [(true, "with this passphrase"), (false, "does not open")] {
        for finding in found(&verified, wrong(), is_file).await {
            let KeyFinding::Refused(why) = &finding else { panic!("{finding:?}") };
            assert!(why.contains(said) && why.contains("/tmp") != is_file, "{why}");
        }
    }
}
