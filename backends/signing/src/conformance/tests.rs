//! The suite notices a backend that breaks a rule: one fault at a time in a key store that is otherwise sound.

use super::*;
use crate::{
    Capability, FoundKey, KeyLifecycle, KeyPin, KeyState, KeyUri, Nonce, Refusal, Result, SignError,
    SigningKey,
};
use aws_lc_rs::{
    encoding::AsDer,
    signature::{Ed25519KeyPair, KeyPair},
};
use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

const SECRET: &str = "hunter2-hunter2";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    FindsSomething,
    CreatesAnew,
    OneKeyForAll,
    ForgetsOnRestart,
    ListsOthers,
    IgnoresTheNonce,
    IgnoresTheAge,
    TakesTheFirst,
    ResolvesElsewhere,
    ShowsAnotherKey,
    SaysDisabled,
    SignsShortOnly,
    FailsUnderLoad,
    LeaksOnDrop,
    PrintsItsSecret,
    KeepsWhatIsGivenUp,
    NamesAnAlgorithmTwice,
    LacksWhatItOffers,
}

#[derive(Clone)]
struct Soft {
    fault: Fault,
    keys: Arc<Mutex<Vec<Arc<SoftKey>>>>,
}

struct SoftKey {
    fault: Fault,
    uri: String,
    intent: KeyIntent,
    made: std::time::SystemTime,
    pair: Ed25519KeyPair,
    busy: AtomicUsize,
}

impl fmt::Debug for Soft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Soft {}", if self.fault == Fault::PrintsItsSecret { SECRET } else { "" })
    }
}

impl fmt::Debug for SoftKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SoftKey")
    }
}

impl SoftKey {
    fn spki(&self) -> Vec<u8> {
        self.pair.public_key().as_der().unwrap().as_ref().to_vec()
    }
    fn pin(&self) -> KeyPin {
        KeyPin {
            uri: KeyUri::parse(&self.uri).unwrap(),
            algorithm: SignatureAlgorithm::Ed25519,
            spki: self.spki(),
        }
    }
}

impl Soft {
    fn add(&self, intent: &KeyIntent, made: std::time::SystemTime) -> Arc<SoftKey> {
        let mut keys = self.keys.lock().unwrap();
        let key = Arc::new(SoftKey {
            fault: self.fault,
            uri: format!("soft:{}", keys.len()),
            intent: intent.clone(),
            made,
            pair: Ed25519KeyPair::generate().unwrap(),
            busy: AtomicUsize::new(0),
        });
        keys.push(key.clone());
        key
    }
    fn at(&self, uri: &str) -> Result<Arc<SoftKey>> {
        let keys = self.keys.lock().unwrap();
        let found = keys.iter().find(|key| key.uri == uri).cloned();
        found.ok_or_else(|| SignError::refused(Refusal::Missing, "no such key"))
    }
}

#[async_trait]
impl SigningBackend for Soft {
    fn scheme(&self) -> &'static str {
        "soft"
    }
    fn capabilities(&self) -> &[Capability] {
        const LIMIT: Option<usize> = Some(5000);
        const ONE: Capability =
            Capability { algorithm: SignatureAlgorithm::Ed25519, max_message: LIMIT, creates: true };
        const LACKING: Capability = Capability { algorithm: SignatureAlgorithm::MlDsa65, ..ONE };
        match self.fault {
            Fault::NamesAnAlgorithmTwice => &[ONE, ONE],
            Fault::LacksWhatItOffers => &[ONE, LACKING],
            _ => &[ONE],
        }
    }
    async fn resolve(&self, reference: &str, _: SignatureAlgorithm) -> Result<KeyPin> {
        match self.fault {
            Fault::ResolvesElsewhere => self.at("soft:1").map(|key| key.pin()),
            _ => self.at(reference).map(|key| key.pin()),
        }
    }
    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        Ok(self.at(pin.uri.as_str())?)
    }
    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }
}

#[async_trait]
impl KeyLifecycle for Soft {
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        let keys = self.keys.lock().unwrap();
        let same = |key: &&Arc<SoftKey>| match self.fault {
            Fault::IgnoresTheNonce => key.intent.generation == intent.generation,
            Fault::OneKeyForAll => true,
            _ => key.intent.nonce == intent.nonce,
        };
        let found: Vec<_> = keys.iter().filter(same).collect();
        match found[..] {
            [] if self.fault == Fault::FindsSomething && !keys.is_empty() => Ok(Some(keys[0].pin())),
            [] => Ok(None),
            [_, _, ..]
                if !matches!(self.fault, Fault::TakesTheFirst | Fault::CreatesAnew | Fault::OneKeyForAll) =>
            {
                Err(SignError::refused(Refusal::Ambiguous, "two keys"))
            }
            [key, ..]
                if key.made + Duration::from_secs(300) < intent.created_at
                    && self.fault != Fault::IgnoresTheAge =>
            {
                Err(SignError::refused(Refusal::Ambiguous, "too old"))
            }
            [key, ..] => Ok(Some(key.pin())),
        }
    }
    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        if intent.algorithm != SignatureAlgorithm::Ed25519 {
            return Err(SignError::refused(Refusal::Unsupported, "no such keys here"));
        }
        match self.find(intent).await? {
            Some(pin) if self.fault != Fault::CreatesAnew => Ok(pin),
            _ => Ok(self.add(intent, std::time::SystemTime::now()).pin()),
        }
    }
    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        let keys = self.keys.lock().unwrap();
        let its =
            |key: &&Arc<SoftKey>| key.intent.deployment == deployment || self.fault == Fault::ListsOthers;
        let found = |key: &Arc<SoftKey>| FoundKey {
            uri: key.pin().uri,
            nonce: key.intent.nonce,
            role: key.intent.role,
            generation: key.intent.generation,
            made_at: Some(key.made),
        };
        Ok(keys.iter().filter(its).map(found).collect())
    }
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        if self.fault != Fault::KeepsWhatIsGivenUp {
            self.keys.lock().unwrap().retain(|key| key.uri != pin.uri.as_str());
        }
        Ok(())
    }
}

#[async_trait]
impl SigningKey for SoftKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let busy = self.busy.fetch_add(1, SeqCst);
        if busy >= 32 && self.fault == Fault::FailsUnderLoad {
            return Err(SignError::refused(Refusal::Configuration, "too many sessions"));
        }
        if self.fault == Fault::LeaksOnDrop && busy >= 20 {
            std::future::pending::<()>().await;
        }
        let short = self.fault == Fault::SignsShortOnly && message.len() > 4096;
        tokio::time::sleep(Duration::from_millis(1)).await;
        // Not reached by a request that was dropped, which is what `LeaksOnDrop` is about.
        self.busy.fetch_sub(1, SeqCst);
        Ok(self.pair.sign(if short { &message[..4096] } else { message }).as_ref().to_vec())
    }
    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        let mut spki = self.spki();
        if self.fault == Fault::ShowsAnotherKey {
            spki[20] ^= 1;
        }
        Ok(Some(spki))
    }
    async fn state(&self) -> Result<KeyState> {
        Ok(if self.fault == Fault::SaysDisabled { KeyState::Disabled } else { KeyState::Usable })
    }
}

struct Under(Soft);

#[async_trait]
impl Harness for Under {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        if self.0.fault == Fault::ForgetsOnRestart {
            return Arc::new(Soft { fault: self.0.fault, keys: Arc::default() });
        }
        Arc::new(self.0.clone())
    }
    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        let planted = match kind {
            LookAlike::Foreign => {
                let foreign = KeyIntent { nonce: Nonce::from_bytes([1; 16]), ..intent.clone() };
                self.0.add(&foreign, intent.created_at)
            }
            LookAlike::Older => self.0.add(intent, intent.created_at - Duration::from_secs(600)),
            LookAlike::Twin => self.0.add(intent, intent.created_at),
            _ => return None,
        };
        Some(planted.spki())
    }
    fn leaks(&self, text: &str) -> bool {
        text.contains(SECRET)
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }
}

async fn report(fault: Fault) -> Report {
    run_all(&Under(Soft { fault, keys: Arc::default() })).await
}

async fn broken_rules(fault: Fault) -> Vec<&'static str> {
    let report = report(fault).await;
    let failed = |check: &&Check| matches!(check.verdict, Verdict::Failed(_));
    assert!(!report.to_string().contains(SECRET));
    report.checks.iter().filter(failed).map(|check| check.rule).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sound_backend_passes() {
    assert_eq!(broken_rules(Fault::None).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_that_is_not_there_after_all_is_told_and_is_no_fault() {
    let report = report(Fault::LacksWhatItOffers).await;
    assert!(report.passed(), "{report}");
    for rule in ["a key is found after a restart", "signatures verify at every size"] {
        let told = format!("skipped  {rule}: no such keys here; the others pass");
        assert!(report.to_string().contains(&told), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_noticed_by_its_rule() {
    for (fault, rule) in [
        (Fault::NamesAnAlgorithmTwice, "capabilities name each algorithm once"),
        (Fault::CreatesAnew, "creating twice for one intent makes one key"),
        (Fault::OneKeyForAll, "two intents make two keys"),
        (Fault::FindsSomething, "an intent nobody acted on finds no key"),
        (Fault::ForgetsOnRestart, "a key is found after a restart"),
        (Fault::ListsOthers, "a key is listed for its deployment"),
        (Fault::IgnoresTheNonce, "a foreign key under the same name is not adopted"),
        (Fault::IgnoresTheAge, "a key older than its intent is not adopted"),
        (Fault::TakesTheFirst, "of two matching keys none is adopted"),
        (Fault::ResolvesElsewhere, "a pin's own URI resolves to the pin"),
        (Fault::ShowsAnotherKey, "the public key stays the same"),
        (Fault::SaysDisabled, "a live key is usable"),
        (Fault::SignsShortOnly, "signatures verify at every size"),
        (Fault::FailsUnderLoad, "64 requests at once are all served"),
        (Fault::LeaksOnDrop, "a request dropped midway leaves the key usable"),
        (Fault::PrintsItsSecret, "no Debug output or error holds a secret"),
        (Fault::KeepsWhatIsGivenUp, "a key given up no longer opens as usable"),
    ] {
        let broken = broken_rules(fault).await;
        assert!(broken.contains(&rule), "{fault:?} breaks {broken:?}");
    }
}
