//! Who vouches for a manifest: the services CA, whose certificate the root has signed.

use super::{BackupError, Manifest, Result};
use crate::{
    authority::x509::{ca_facts, certificate_pem, check_issued},
    identity::{CaRole, Fingerprint, Timestamp, hex},
    store::{CaFacts, StoreFacts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use catalyst_signing::{GuardedKey, Purpose, SignatureAlgorithm, Verified};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio::time::Instant;

/// What is signed comes after this.
const CONTEXT: &[u8] = b"catalyst-pki/backup/v1\0";
/// No seal is longer, in octets.
pub const MAX_SEAL: u64 = 256 << 10;

/// The contents of `manifest.sig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seal", rename_all = "lowercase")]
pub enum Seal {
    /// Somebody vouches for it.
    Signed(Signature),
    /// Nobody does: made with `--unsigned`.
    Unsigned {},
}

/// A signature over `catalyst-pki/backup/v1\0` and the manifest's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The signature algorithm's name.
    pub algorithm: String,
    /// The X.509 signature value, base64 (RFC 4648, 4).
    pub signature: String,
    /// The certificate of the services CA whose key has signed, PEM.
    pub certificate: String,
    /// The certificate of the root that has issued it, PEM.
    pub root: String,
}

/// Who has signed a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Subject CN of the services CA.
    pub common_name: String,
    /// SHA-256 of the services CA's certificate.
    pub certificate: Fingerprint,
    /// SHA-256 of the root's certificate.
    pub root: Fingerprint,
}

/// Which root's word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// That of the root whose certificate has this SHA-256.
    Root(Fingerprint),
    /// That of whichever root the backup brings: it shows that nothing was altered since it was made, and not by whom.
    FirstUse,
}

impl Seal {
    /// Signs a manifest with the active services CA's key.
    ///
    /// # Errors
    /// The key store's; a services CA whose signature no reader would take.
    pub async fn sign(
        key: &GuardedKey,
        facts: &StoreFacts,
        manifest: &[u8],
        at: Timestamp,
        deadline: Instant,
    ) -> Result<Self> {
        let sign = async |_: &CaFacts, message| key.sign(Purpose::Manifest, message, deadline).await;
        Self::sign_with(facts, manifest, at, sign).await
    }

    /// As [`Seal::sign`] for a key that somebody else holds: `sign` is given the services CA and what its key is to sign.
    ///
    /// # Errors
    /// Those of `sign`; a services CA whose signature no reader would take.
    pub async fn sign_with<E: fmt::Display>(
        facts: &StoreFacts,
        manifest: &[u8],
        at: Timestamp,
        sign: impl AsyncFnOnce(&CaFacts, Vec<u8>) -> std::result::Result<Verified, E>,
    ) -> Result<Self> {
        let unsignable = |why: &str| BackupError::Unsignable(why.to_owned());
        let (services, _) =
            facts.active_ca(CaRole::Services).ok_or_else(|| unsignable("no services CA is active"))?;
        let root =
            facts.issuer_of(services).ok_or_else(|| unsignable("the services CA's root is not stored"))?;
        let begins = ca_facts(&services.der).map_err(|error| unsignable(&error.0))?.not_before;
        if at < begins {
            let what = "the services CA's certificate began at";
            return Err(BackupError::Clock { now: at, what, then: begins });
        }
        if at >= services.not_after {
            return Err(unsignable("the services CA has expired"));
        }
        let verified = sign(services, message(manifest)).await;
        let verified = verified.map_err(|error| BackupError::Unsignable(error.to_string()))?;
        let pem = |ca: &CaFacts| certificate_pem(&ca.der).map_err(|error| unsignable(&error.to_string()));
        Ok(Self::Signed(Signature {
            algorithm: verified.algorithm.name().to_owned(),
            signature: STANDARD.encode(&verified.signature),
            certificate: pem(services)?,
            root: pem(root)?,
        }))
    }

    /// The contents of `manifest.sig`.
    ///
    /// # Errors
    /// None that a seal has which was made here.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Usage(format!("the seal cannot be written: {error}")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the contents of `manifest.sig`.
    ///
    /// # Errors
    /// They are of another form.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|error| BackupError::Damaged(format!("its manifest.sig cannot be read: {error}")))
    }

    /// Whether somebody who counts vouches for these bytes of a manifest. `None`: nobody does, as the maker wanted it.
    ///
    /// # Errors
    /// [`BackupError::Forged`], with what does not hold.
    pub fn check(&self, bytes: &[u8], manifest: &Manifest, trust: Trust) -> Result<Option<Signer>> {
        match self {
            Self::Unsigned {} => Ok(None),
            Self::Signed(signature) => signature.check(bytes, manifest, trust).map(Some),
        }
    }
}

impl Signature {
    fn check(&self, bytes: &[u8], manifest: &Manifest, trust: Trust) -> Result<Signer> {
        let forged = |clause: String| BackupError::Forged(clause);
        let (certificate, root) = (der(&self.certificate)?, der(&self.root)?);
        let signer = Fingerprint::of_certificate(&certificate);
        let anchor = Fingerprint::of_certificate(&root);
        if let Trust::Root(wanted) = trust
            && wanted != anchor
        {
            return Err(forged(format!(
                "its root certificate has the SHA-256 {anchor} ({}), and {wanted} ({}) is wanted: it is another deployment's, or somebody who knows your recipients has forged it",
                hex(anchor.as_bytes()),
                hex(wanted.as_bytes())
            )));
        }
        check_issued(&root, &root)
            .map_err(|error| forged(format!("of its root's certificate: {}", error.0)))?;
        check_issued(&certificate, &root)
            .map_err(|error| forged(format!("of its services CA's certificate: {}", error.0)))?;
        let facts = ca_facts(&certificate).map_err(|error| forged(error.0))?;
        let algorithm: SignatureAlgorithm = self.algorithm.parse().map_err(|error| {
            forged(format!("its signature names an algorithm that is none of this CA's: {error}"))
        })?;
        let value =
            STANDARD.decode(&self.signature).map_err(|_| forged("its signature is no base64".into()))?;
        if !algorithm.verify(&facts.spki, &message(bytes), &value) {
            return Err(forged("the signature is not over this manifest, or not the services CA's".into()));
        }
        if !(facts.not_before..facts.not_after).contains(&manifest.created_at) {
            return Err(forged(
                "it says that it was made when its services CA's certificate was not valid".into(),
            ));
        }
        let entry =
            manifest.store.cas.iter().find(|ca| ca.fingerprint == signer && ca.role == CaRole::Services);
        let Some(entry) = entry else {
            return Err(forged("who has signed it is no services CA of what is in it".into()));
        };
        Ok(Signer { common_name: entry.common_name.clone(), certificate: signer, root: anchor })
    }
}

fn message(manifest: &[u8]) -> Vec<u8> {
    [CONTEXT, manifest].concat()
}

fn der(pem: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| {
        BackupError::Forged(format!("its manifest.sig has a certificate that is none: {error}"))
    })
}
