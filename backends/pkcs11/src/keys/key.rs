//! An open key.

use super::{
    address::Address,
    find::{Proof, find_private, public_of, sign},
    private::PrivateKey,
};
use crate::token::{Hold, Purpose, Token};
use async_trait::async_trait;
use catalyst_signing::{KeyPin, KeyState, Refusal, Result, SignError, SignatureAlgorithm, SigningKey};
use std::sync::Arc;

/// A key on a token. It holds no handle: those die with their session, so each session finds the key by its address.
#[derive(Debug)]
pub(crate) struct Pkcs11Key {
    token: Arc<Token>,
    address: Address,
    algorithm: SignatureAlgorithm,
    /// The token wants the PIN before each use.
    consent: bool,
    caution: Option<String>,
    _hold: Hold,
}

impl Pkcs11Key {
    /// Finds the key, and refuses one that may not be used.
    pub(crate) async fn open(token: Arc<Token>, pin: &KeyPin) -> Result<Self> {
        let (address, algorithm) = (Address::of_uri(&pin.uri)?, pin.algorithm);
        let hold = token.hold();
        let (work, wanted) = (token.clone(), address.clone());
        let key = token
            .run(Purpose::Use, move |desk| {
                let key = PrivateKey::read(desk, find_private(desk, work.config(), &wanted)?)?;
                key.check(&wanted.to_string(), algorithm, work.config())?;
                Ok(key)
            })
            .await?;
        let caution = key.caution();
        Ok(Self { token, address, algorithm, consent: key.wants_consent, caution, _hold: hold })
    }
}

#[async_trait]
impl SigningKey for Pkcs11Key {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let (token, address, message) = (self.token.clone(), self.address.clone(), message.to_vec());
        let (algorithm, consent) = (self.algorithm, self.consent);
        self.token
            .run(Purpose::Use, move |desk| {
                let find = || find_private(desk, token.config(), &address);
                let key = desk.handle(address.as_str(), find)?;
                sign(desk, token.config(), key, consent, algorithm, &message)
            })
            .await
    }

    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        let (token, address, algorithm) = (self.token.clone(), self.address.clone(), self.algorithm);
        self.token
            .run(Purpose::Use, move |desk| {
                let key = PrivateKey::read(desk, find_private(desk, token.config(), &address)?)?;
                let spki = public_of(
                    desk,
                    token.config(),
                    &key,
                    &address.to_string(),
                    algorithm,
                    Proof::WhenInDoubt,
                )?;
                Ok(Some(spki))
            })
            .await
    }

    async fn state(&self) -> Result<KeyState> {
        let (token, address) = (self.token.clone(), self.address.clone());
        let found = self.token.run(Purpose::Use, move |desk| {
            Ok(PrivateKey::read(desk, find_private(desk, token.config(), &address)?)?.state())
        });
        match found.await {
            Err(SignError::Refused { kind: Refusal::Missing, .. }) => Ok(KeyState::Gone),
            other => other,
        }
    }

    fn caution(&self) -> Option<String> {
        self.caution.clone()
    }
}
