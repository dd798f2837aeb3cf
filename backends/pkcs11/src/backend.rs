//! A token behind the signing contract.

use crate::{
    TokenConfig,
    token::{Purpose, Token},
};
use async_trait::async_trait;
use catalyst_signing::{
    Capability, Fact, KeyPin, Refusal, Result, SignError, SignatureAlgorithm, SigningBackend, SigningKey,
};
use std::sync::Arc;

/// Keys on one token.
#[derive(Debug)]
pub struct Pkcs11Backend {
    token: Token,
}

impl Pkcs11Backend {
    /// Takes a token; nothing is loaded or opened until a key is wanted.
    pub fn new(config: TokenConfig) -> Self {
        Self { token: Token::new(config) }
    }
}

#[async_trait]
impl SigningBackend for Pkcs11Backend {
    fn scheme(&self) -> &'static str {
        "pkcs11"
    }

    fn capabilities(&self) -> &[Capability] {
        &[]
    }

    async fn resolve(&self, reference: &str, _: SignatureAlgorithm) -> Result<KeyPin> {
        Err(SignError::refused(Refusal::Missing, format!("{reference} is not on {}", self.token.name())))
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        Err(SignError::refused(Refusal::Missing, format!("{} is not on {}", pin.uri, self.token.name())))
    }

    async fn describe(&self) -> Result<Vec<Fact>> {
        let facts = self.token.run(Purpose::Use, |desk| Ok(desk.facts.clone())).await?;
        Ok(vec![
            Fact { name: "token", value: facts.label },
            Fact { name: "serial number", value: facts.serial },
            Fact { name: "manufacturer", value: facts.manufacturer },
            Fact { name: "model", value: facts.model },
            Fact { name: "firmware", value: facts.firmware },
            Fact { name: "mechanisms", value: facts.mechanisms.len().to_string() },
        ])
    }
    fn retry(&self) {
        self.token.retry();
    }

    async fn shut_down(&self) {
        self.token.shut_down().await;
    }
}
