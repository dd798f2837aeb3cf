//! An open local key.

use crate::{
    error::LocalError,
    material::{CAPABILITIES, Material},
};
use async_trait::async_trait;
use catalyst_signing::{KeyState, Result, SignError, SignatureAlgorithm, SigningKey};
use std::{path::PathBuf, sync::Arc};
use tokio::task::spawn_blocking;

/// From here on hashing alone takes so long that it belongs off the async threads.
const LONG: usize = 256 << 10;

/// A decrypted key. Lives as long as the CA holds it; aws-lc zeroizes the private half when it is freed.
#[derive(Debug)]
pub(crate) struct LocalKey {
    material: Arc<Material>,
    spki: Vec<u8>,
    file: Option<PathBuf>,
}

impl LocalKey {
    /// Takes a key in PKCS#8 (DER). `origin` names it in errors; `file` is where it came from, if from a file.
    pub(crate) fn new(
        pkcs8: &[u8],
        algorithm: SignatureAlgorithm,
        origin: PathBuf,
        file: Option<PathBuf>,
    ) -> std::result::Result<Self, LocalError> {
        let material = Material::read(algorithm, pkcs8).map_err(|_| {
            let of_another = CAPABILITIES.iter().any(|known| Material::read(known.algorithm, pkcs8).is_ok());
            match of_another {
                true => LocalError::WrongAlgorithm(origin.clone(), algorithm),
                false => LocalError::Damaged(origin.clone()),
            }
        })?;
        let spki = material.spki().map_err(|_| LocalError::Damaged(origin.clone()))?;
        if algorithm.verifier(&spki).is_none() {
            return Err(LocalError::WrongAlgorithm(origin, algorithm));
        }
        Ok(Self { material: Arc::new(material), spki, file })
    }

    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }
}

#[async_trait]
impl SigningKey for LocalKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = if self.material.is_slow() || message.len() > LONG {
            let (material, message) = (self.material.clone(), message.to_vec());
            spawn_blocking(move || material.sign(&message))
                .await
                .map_err(|_| SignError::unavailable("shutting down"))?
        } else {
            self.material.sign(message)
        };
        signature.map_err(|_| LocalError::Crypto("signing with a local key").into())
    }

    async fn public_key(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.spki.clone()))
    }

    async fn state(&self) -> Result<KeyState> {
        let gone = self.file.as_ref().is_some_and(|file| !file.exists());
        Ok(if gone { KeyState::Gone } else { KeyState::Usable })
    }
}
