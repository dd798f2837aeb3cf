//! What an operator says of one way into Google Cloud KMS.

use crate::{client::account_of, keys::KeyRing};
use catalyst_signing::{KeyRole, Opening};
use std::{path::PathBuf, time::Duration};

/// One way into Google Cloud KMS: who asks, and where keys are made. Holds no secret: credentials are read when they are
/// wanted.
#[derive(Clone, Debug)]
pub struct GcpKmsConfig {
    /// What operators choose it by: `gcp-kms`, `gcp-kms:root`.
    pub name: String,
    /// Where keys are made.
    pub rings: Rings,
    /// Where they are held.
    pub protection: Protection,
    /// Who asks.
    pub credentials: Credentials,
    /// How long credentials are kept. After [`Opening::WhileInUse`] nothing can ask with them any more, but the SDK keeps a
    /// token in memory until it would have fetched the next: that of an impersonated account for a minute, others and what a
    /// credentials file holds for up to an hour.
    pub opening: Opening,
    /// Another endpoint than Google's own, such as a regional or a private one.
    pub endpoint: Option<String>,
    /// The most calls per second to one project and location.
    pub calls_per_second: u32,
    /// How long one call may take.
    pub call_timeout: Duration,
}

/// The key rings in which keys are made, by what the keys are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    /// Of the root.
    pub root: Option<KeyRing>,
    /// Of the services CA.
    pub services: Option<KeyRing>,
    /// Of the transport CA.
    pub transport: Option<KeyRing>,
    /// Of the token key.
    pub token: Option<KeyRing>,
}

impl Rings {
    /// Where a key of this role is made. Keys that only try the key store out are made in any.
    pub(crate) fn of(&self, role: KeyRole) -> Option<&KeyRing> {
        match role {
            KeyRole::Root => self.root.as_ref(),
            KeyRole::Services => self.services.as_ref(),
            KeyRole::Transport => self.transport.as_ref(),
            KeyRole::Token => self.token.as_ref(),
            KeyRole::Probe => self.all().first().copied(),
        }
    }

    /// Each once.
    pub(crate) fn all(&self) -> Vec<&KeyRing> {
        let mut all: Vec<&KeyRing> = Vec::new();
        for ring in [&self.services, &self.transport, &self.token, &self.root].into_iter().flatten() {
            if !all.contains(&ring) {
                all.push(ring);
            }
        }
        all
    }
}

/// Where keys are held, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// In an HSM: keys are made there, and no other is taken.
    Hsm,
    /// In software: keys are made there, and those in an HSM are taken too.
    Software,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Application Default Credentials: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, the metadata server.
    Default,
    /// A credentials file of Google's: a service account's key, or the configuration of a workload identity or of an
    /// impersonation.
    File(PathBuf),
    /// A service account (its address) that the identity of a file, or else of the Application Default Credentials,
    /// impersonates.
    Impersonated {
        /// `<name>@<project>.iam.gserviceaccount.com`.
        account: String,
        /// The file whose identity impersonates it.
        file: Option<PathBuf>,
    },
}

impl Credentials {
    /// The service account that asks, where it is said, or a file that is given names it: the file is read.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::File(path) => account_of(path),
            Self::Impersonated { account, .. } => Some(account.clone()),
        }
    }
}
