//! CryptoKeyVersions.

use super::{Hidden, Material, Template};
use crate::{
    clock::{later, timestamp},
    names::VersionName,
    refused::Refused,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use catalyst_rigs::gcp::{
    Generation,
    api::{Enumeration as _, ProtectionLevel, State},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A version's state, with what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// So many calls still find it so.
    Pending(u32),
    /// Its key could not be made.
    Failed,
    Enabled,
    Disabled,
    /// Until this moment.
    Scheduled(OffsetDateTime),
    /// Since this moment.
    Destroyed(OffsetDateTime),
}

/// A CryptoKeyVersion.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) made: OffsetDateTime,
    pub(crate) template: Template,
    pub(crate) life: Life,
    /// `None`: it has no key (any more), or never had one that signs.
    pub(crate) material: Option<Material>,
    pub(crate) import_job: Option<String>,
    pub(crate) hidden: Hidden,
}

impl Version {
    pub(crate) fn new(
        made: OffsetDateTime,
        template: Template,
        life: Life,
        material: Option<Material>,
    ) -> Self {
        Self { made, template, life, material, import_job: None, hidden: Hidden::default() }
    }

    pub(crate) fn state(&self) -> State {
        match self.life {
            Life::Pending(_) => State::PendingGeneration,
            Life::Failed => State::GenerationFailed,
            Life::Enabled => State::Enabled,
            Life::Disabled => State::Disabled,
            Life::Scheduled(_) => State::DestroyScheduled,
            Life::Destroyed(_) => State::Destroyed,
        }
    }

    /// What time has done to it.
    pub(crate) fn settle(&mut self, now: OffsetDateTime) {
        if let Life::Scheduled(moment) = self.life
            && moment <= now
        {
            self.life = Life::Destroyed(moment);
            self.material = None;
        }
    }

    /// A call looks at it, and may be the one that finds its key made.
    pub(crate) fn look(&mut self, generation: Generation) {
        let Life::Pending(calls) = self.life else { return };
        let made = self.material.as_ref().is_none_or(Material::is_ready);
        match generation {
            Generation::Held => {}
            Generation::Failing => {
                self.life = Life::Failed;
                self.material = None;
            }
            Generation::AfterCalls(_) if calls == 0 && made => self.life = Life::Enabled,
            Generation::AfterCalls(_) => self.life = Life::Pending(calls.saturating_sub(1)),
        }
    }

    /// An error unless it can be used.
    pub(crate) fn check_enabled(&self, name: &VersionName) -> Result<(), Refused> {
        if self.life == Life::Enabled {
            return Ok(());
        }
        let state = self.state().name();
        Err(Refused::precondition(&format!("{name} is not enabled, current state is: {state}.")))
    }

    /// UpdateCryptoKeyVersion.
    pub(crate) fn update(&mut self, name: &VersionName, wanted: State) -> Result<(), Refused> {
        let life = match wanted {
            State::Enabled => Life::Enabled,
            State::Disabled => Life::Disabled,
            _ => return Err(Refused::invalid(&format!("state {} can't be set.", wanted.name()))),
        };
        match self.life {
            Life::Enabled | Life::Disabled => {
                self.life = life;
                Ok(())
            }
            _ => Err(self.wrong_state(name, "be enabled or disabled")),
        }
    }

    /// DestroyCryptoKeyVersion.
    pub(crate) fn destroy(
        &mut self,
        name: &VersionName,
        now: OffsetDateTime,
        after: u64,
    ) -> Result<(), Refused> {
        match self.life {
            Life::Enabled | Life::Disabled => {
                self.life = Life::Scheduled(later(now, after));
                Ok(())
            }
            _ => Err(self.wrong_state(name, "be destroyed")),
        }
    }

    /// RestoreCryptoKeyVersion.
    pub(crate) fn restore(&mut self, name: &VersionName) -> Result<(), Refused> {
        match self.life {
            Life::Scheduled(_) => {
                self.life = Life::Disabled;
                Ok(())
            }
            _ => Err(self.wrong_state(name, "be restored")),
        }
    }

    fn wrong_state(&self, name: &VersionName, what: &str) -> Refused {
        let state = self.state().name();
        Refused::precondition(&format!("{name} can't {what}, current state is: {state}."))
    }

    /// The message with names for enumerations, `full` or in the default view.
    pub(crate) fn message(&self, name: &VersionName, full: bool) -> Value {
        let mut message = json!({
            "name": name.to_string(),
            "state": self.state().name(),
            "protectionLevel": self.template.protection_level.name(),
            "algorithm": self.template.algorithm.name(),
            "createTime": timestamp(self.made),
        });
        if !matches!(self.life, Life::Pending(_) | Life::Failed) {
            match &self.import_job {
                Some(job) => {
                    message["importJob"] = json!(job);
                    message["importTime"] = json!(timestamp(self.made));
                }
                None => message["generateTime"] = json!(timestamp(self.made)),
            }
            if full && self.template.protection_level == ProtectionLevel::Hsm {
                message["attestation"] = attestation();
            }
        }
        match self.life {
            Life::Scheduled(moment) => message["destroyTime"] = json!(timestamp(moment)),
            Life::Destroyed(moment) => message["destroyEventTime"] = json!(timestamp(moment)),
            Life::Failed => message["generationFailureReason"] = json!("The HSM has no room."),
            Life::Pending(_) | Life::Enabled | Life::Disabled => {}
        }
        message
    }
}

/// A statement of the form of an HSM's, which proves nothing.
fn attestation() -> Value {
    json!({
        "format": "CAVIUM_V2_COMPRESSED",
        "content": BASE64_STANDARD.encode("an attestation of the fake's, which attests nothing"),
    })
}
