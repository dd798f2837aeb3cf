//! AWS KMS behind the signing contract.

use crate::{
    AwsKmsConfig, Opening,
    client::Clients,
    keys::{self, Attempts, AwsKmsKey, KeyArn, Reference},
};
use async_trait::async_trait;
use catalyst_signing::{
    Capability, Fact, FoundKey, KeyIntent, KeyLifecycle, KeyPin, KeyState, KeyUri, Quota, Result,
    SignatureAlgorithm, SigningBackend, SigningKey, Whereabouts,
};
use std::sync::Arc;

/// Keys of one account in AWS KMS.
///
/// A key made here is born in KMS and never leaves it. It carries the intent that it was made for as tags, and the
/// alias `alias/catalyst-pki/<deployment>/<role>-<generation>` for people.
#[derive(Debug)]
pub struct AwsKmsBackend {
    clients: Arc<Clients>,
    capabilities: Vec<Capability>,
    attempts: Attempts,
}

impl AwsKmsBackend {
    /// Takes an account; nothing is read or asked until a key is wanted.
    pub fn new(config: AwsKmsConfig) -> Self {
        Self::over(Clients::new(config))
    }

    pub(crate) fn over(clients: Clients) -> Self {
        Self { clients: Arc::new(clients), capabilities: keys::capabilities(), attempts: Attempts::new() }
    }

    /// What one open key or one question asks through.
    fn clients(&self) -> Arc<Clients> {
        match self.clients.config().opening {
            Opening::Kept => self.clients.clone(),
            Opening::WhileInUse => Arc::new(self.clients.fresh()),
        }
    }

    /// Credentials that are set apart are taken up for what an operator wants, and for nothing else.
    fn is_asked_unprompted(&self) -> bool {
        self.clients.config().opening == Opening::Kept
    }
}

#[async_trait]
impl SigningBackend for AwsKmsBackend {
    fn scheme(&self) -> &'static str {
        "awskms"
    }

    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Of the key's account and Region.
    fn quota(&self, uri: &KeyUri) -> Quota {
        let per_second = Some(f64::from(self.clients.config().calls_per_second));
        let name = match KeyArn::of(uri) {
            Some(arn) => format!("awskms:{}:{}", arn.account(), arn.region()),
            None => self.clients.config().name.clone(),
        };
        Quota { name, per_second }
    }

    /// Takes a key's ARN or id, `alias/<name>` or an alias' ARN.
    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        keys::resolve(&self.clients(), &Reference::parse(reference)?, algorithm).await
    }

    /// An alias is looked up again; ids and ARNs are one key's for good.
    async fn whereabouts(&self, reference: &str) -> Result<Option<Whereabouts>> {
        let reference = Reference::parse(reference)?;
        match reference.is_alias() && self.is_asked_unprompted() {
            true => keys::whereabouts(&self.clients, &reference).await.map(Some),
            false => Ok(None),
        }
    }

    async fn state_of(&self, pin: &KeyPin) -> Result<KeyState> {
        match self.is_asked_unprompted() {
            true => self.open(pin).await?.state().await,
            false => Ok(KeyState::Unknown),
        }
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        Ok(Arc::new(AwsKmsKey::new(self.clients(), pin)?))
    }

    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }

    async fn describe(&self) -> Result<Vec<Fact>> {
        self.clients().describe().await
    }

    fn retry(&self) {
        self.clients.retry();
    }

    async fn shut_down(&self) {
        self.clients.let_go();
    }
}

#[async_trait]
impl KeyLifecycle for AwsKmsBackend {
    /// An intent that was committed since this backend was made, and that it has not acted on, has no key, and KMS is not
    /// asked: one process owns the store of intents. All others are looked for by their nonce among the tags of every key.
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        keys::find(&self.clients(), &self.attempts, intent).await
    }

    /// Where the key may have been asked for before and is not there, it is looked for until the request is
    /// [`settle`](AwsKmsConfig::settle) old, for some seconds in each call; until then the answer is a transient error that
    /// says how long that takes.
    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        keys::create(&self.clients(), &self.attempts, intent).await
    }

    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        keys::list(&self.clients(), deployment).await
    }

    /// Nothing is destroyed for 30 days, the longest that KMS waits; until then `aws kms cancel-key-deletion` brings it
    /// back.
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        keys::give_up(&self.clients(), pin).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Credentials;
    use std::time::Duration;

    fn backend(opening: Opening) -> AwsKmsBackend {
        AwsKmsBackend::new(AwsKmsConfig {
            name: "aws-kms".into(),
            region: None,
            credentials: Credentials::Chain,
            opening,
            endpoint: Some("http://127.0.0.1:1".into()),
            use_fips: false,
            failover_regions: Vec::new(),
            calls_per_second: 250,
            call_timeout: Duration::from_secs(1),
            settle: Duration::from_secs(1),
            key_policy: None,
        })
    }

    /// Neither goes anywhere: at that port nobody answers.
    #[tokio::test]
    async fn credentials_that_are_set_apart_are_taken_up_for_no_question_of_ours() {
        let root = backend(Opening::WhileInUse);
        assert_eq!(root.whereabouts("alias/root").await, Ok(None));
        let uri = KeyUri::parse(
            "awskms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        );
        let pin = KeyPin { uri: uri.unwrap(), algorithm: SignatureAlgorithm::EcP384, spki: Vec::new() };
        assert_eq!(root.state_of(&pin).await, Ok(KeyState::Unknown));
    }

    #[tokio::test]
    async fn an_id_leads_to_one_key_for_good() {
        let everyday = backend(Opening::Kept);
        for one in [
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        ] {
            assert_eq!(everyday.whereabouts(one).await, Ok(None));
        }
    }
}
