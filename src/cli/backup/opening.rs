//! What opens a backup, and whose word counts.

use super::{Trouble, prompt};
use crate::{
    backup::{BackupError, Identities, Trust, passphrase_identity, read_identities},
    identity::Fingerprint,
    settings::Environment,
};
use secrecy::ExposeSecret as _;
use std::path::PathBuf;

/// What opens a backup.
#[derive(Debug)]
pub(in crate::cli) struct Key {
    /// Files of identities.
    pub(in crate::cli) identities: Vec<PathBuf>,
    /// It was encrypted with a passphrase.
    pub(in crate::cli) passphrase: bool,
}

impl Key {
    /// `None`: nothing is given.
    pub(super) fn open(&self, environment: &Environment) -> Result<Option<Identities>, Trouble> {
        if self.passphrase {
            return Ok(Some(passphrase_identity(prompt::known(environment)?)));
        }
        let mut all: Option<Identities> = None;
        for path in &self.identities {
            let more = read_identities(path, prompt::Terminal::new(environment)?)?;
            all = Some(match all {
                Some(all) => all.and(more),
                None => more,
            });
        }
        Ok(all)
    }
}

/// Whose a backup must be.
#[derive(Debug)]
pub(in crate::cli) struct Whose {
    /// `--root-fingerprint`
    pub(in crate::cli) root: Option<String>,
    /// `--trust-on-first-use`
    pub(in crate::cli) first_use: bool,
}

impl Whose {
    /// For commands that believe a backup.
    pub(super) fn needed(&self, environment: &Environment) -> Result<Trust, Trouble> {
        let trust = self.trust(environment)?.ok_or_else(|| {
            BackupError::Usage(
                "nothing says whose backup this must be, and whoever knows your recipients can make one: give the root's fingerprint with --root-fingerprint ('catalyst pki status' shows it), or --trust-on-first-use".into(),
            )
        })?;
        Ok(trust)
    }

    /// `None`: nobody has said.
    pub(super) fn trust(&self, environment: &Environment) -> Result<Option<Trust>, Trouble> {
        if self.first_use {
            return Ok(Some(Trust::FirstUse));
        }
        let variable = environment.get("CATALYST_ROOT_FINGERPRINT")?;
        let text = self.root.clone().or_else(|| variable.map(|value| value.expose_secret().to_owned()));
        let parse = |text: String| {
            text.parse::<Fingerprint>()
                .map(Trust::Root)
                .map_err(|error| BackupError::Usage(format!("--root-fingerprint is {error}")))
        };
        Ok(text.map(parse).transpose()?)
    }
}
