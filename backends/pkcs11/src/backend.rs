//! A token behind the signing contract.

use crate::{
    TokenConfig,
    keys::{self, Address, Pkcs11Key, Turns},
    token::{Desk, Purpose, Token},
    trouble::Trouble,
};
use async_trait::async_trait;
use catalyst_signing::{
    Capability, Fact, FoundKey, KeyIntent, KeyLifecycle, KeyPin, KeyUri, Quota, Result, SignatureAlgorithm,
    SigningBackend, SigningKey,
};
use std::sync::{Arc, LazyLock, OnceLock};

/// Keys on one token.
///
/// Keys made here never leave it: they are born sensitive and not extractable, and sign only. Their CKA_ID is the nonce
/// of the intent that they were made for, their CKA_LABEL `catalyst-pki/<deployment>/<role>-<generation>`.
#[derive(Debug)]
pub struct Pkcs11Backend {
    token: Arc<Token>,
    /// What the token can, once it has said so.
    capabilities: Arc<OnceLock<Vec<Capability>>>,
    turns: Turns,
}

impl Pkcs11Backend {
    /// Takes a token; nothing is loaded or opened until a key is wanted.
    pub fn new(config: TokenConfig) -> Self {
        Self { token: Arc::new(Token::new(config)), capabilities: Arc::default(), turns: Turns::default() }
    }

    /// Runs work at the token, and learns what the token can the first time.
    pub(crate) async fn at_token<T: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl Fn(&Desk<'_>, &TokenConfig) -> std::result::Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        let (token, capabilities) = (self.token.clone(), self.capabilities.clone());
        let work = move |desk: &Desk<'_>| {
            capabilities.get_or_init(|| keys::capabilities(desk.facts));
            work(desk, token.config())
        };
        self.token.run(purpose, work).await
    }
}

#[async_trait]
impl SigningBackend for Pkcs11Backend {
    fn scheme(&self) -> &'static str {
        "pkcs11"
    }

    /// What the token can do; until it has answered for the first time, all that could be done at any.
    fn capabilities(&self) -> &[Capability] {
        static EVERYTHING: LazyLock<Vec<Capability>> = LazyLock::new(keys::everything);
        self.capabilities.get().unwrap_or(&EVERYTHING)
    }

    fn quota(&self, _: &KeyUri) -> Quota {
        Quota { name: self.token.name().to_owned(), per_second: None }
    }

    /// Takes a key URI (RFC 7512) or a label (CKA_LABEL), which must name one private key.
    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        let address = Address::of_reference(reference)?;
        self.at_token(Purpose::Use, move |desk, config| keys::resolve(desk, config, &address, algorithm))
            .await
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        Ok(Arc::new(Pkcs11Key::open(self.token.clone(), pin).await?))
    }

    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }

    async fn describe(&self) -> Result<Vec<Fact>> {
        let facts = self.at_token(Purpose::Use, |desk, _| Ok(desk.facts.clone())).await?;
        let wanted = u64::from(self.token.config().sessions);
        let sessions = facts.sessions.map_or(wanted, |most| most.min(wanted));
        Ok(vec![
            Fact { name: "token", value: facts.label },
            Fact { name: "serial number", value: facts.serial },
            Fact { name: "manufacturer", value: facts.manufacturer },
            Fact { name: "model", value: facts.model },
            Fact { name: "firmware", value: facts.firmware },
            Fact { name: "mechanisms", value: facts.mechanisms.len().to_string() },
            Fact { name: "sessions", value: format!("at most {sessions}") },
        ])
    }
    fn retry(&self) {
        self.token.retry();
    }

    async fn shut_down(&self) {
        self.token.shut_down().await;
    }
}

#[async_trait]
impl KeyLifecycle for Pkcs11Backend {
    /// PKCS#11 keeps no time of making, so a key's age is not looked at: its CKA_ID alone, 128 random bits, ties it to
    /// the intent.
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        let intent = intent.clone();
        self.at_token(Purpose::Use, move |desk, config| keys::find(desk, config, &intent)).await
    }

    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        let turn = self.turns.take(intent).await;
        let intent = intent.clone();
        let work = move |desk: &Desk<'_>, config: &TokenConfig| {
            let _held = &turn;
            keys::create(desk, config, &intent)
        };
        self.at_token(Purpose::Change, work).await
    }

    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        let deployment = deployment.to_owned();
        self.at_token(Purpose::Use, move |desk, _| keys::list(desk, &deployment)).await
    }

    /// PKCS#11 has no waiting period, so nothing is destroyed here but keys of role `probe`. Any other key stays on the
    /// token, marked and unusable: its CKA_LABEL, and that of its public key, becomes `… given up <unix seconds>`, and
    /// its CKA_SIGN false where the token allows that; where it does not, a process that has the key open signs with it
    /// until it closes it. Its owner can take both back. Destroying it (C_DestroyObject) is
    /// left to his own hand: `pkcs11-tool --login --delete-object --type privkey --id …`.
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        let pin = pin.clone();
        self.at_token(Purpose::Change, move |desk, config| keys::give_up(desk, config, &pin)).await
    }
}
