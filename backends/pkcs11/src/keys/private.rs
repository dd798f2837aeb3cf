//! A private key object: what its token says of it, and whether it may sign for a CA.

use super::{attributes::Attributes, label, public::Parts};
use crate::{TokenConfig, config::Setting, token::Desk, trouble::Trouble};
use catalyst_signing::{KeyState, Refusal, SignError, SignatureAlgorithm};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

/// A private key as its token describes it. What a token does not say of a protection counts as not given.
#[derive(Clone, Debug)]
pub(crate) struct PrivateKey {
    pub(crate) handle: ObjectHandle,
    /// CKA_ID, which may be empty.
    pub(crate) id: Vec<u8>,
    /// CKA_LABEL, which may be empty.
    pub(crate) label: String,
    /// What it tells of its public half: type and size at least, mostly.
    pub(crate) public: Parts,
    /// CKA_SIGN; a token that does not know it lets a signature be tried.
    signs: Option<bool>,
    sensitive: Option<bool>,
    extractable: Option<bool>,
    local: Option<bool>,
    always_sensitive: Option<bool>,
    never_extractable: Option<bool>,
    /// CKA_ALWAYS_AUTHENTICATE: the token wants the PIN before each use.
    pub(crate) wants_consent: bool,
}

const KINDS: &[AttributeType] = &[
    AttributeType::Sign,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::Local,
    AttributeType::AlwaysSensitive,
    AttributeType::NeverExtractable,
    AttributeType::AlwaysAuthenticate,
];

/// CKA_ID and CKA_LABEL of an object, which may be empty.
pub(crate) fn names(desk: &Desk<'_>, object: ObjectHandle) -> Result<(Vec<u8>, String), Trouble> {
    let known = Attributes::read(desk, object, &[AttributeType::Id, AttributeType::Label])?;
    let id = known.find(|a| if let Attribute::Id(id) = a { Some(id.clone()) } else { None });
    let label = known.find(|a| match a {
        Attribute::Label(label) => Some(String::from_utf8_lossy(label).into_owned()),
        _ => None,
    });
    Ok((id.unwrap_or_default(), label.unwrap_or_default()))
}

impl PrivateKey {
    pub(crate) fn read(desk: &Desk<'_>, handle: ObjectHandle) -> Result<Self, Trouble> {
        let (id, label) = names(desk, handle)?;
        let known = Attributes::read(desk, handle, KINDS)?;
        let flag = |pick: fn(&Attribute) -> Option<bool>| known.find(pick);
        let consent = flag(|a| if let Attribute::AlwaysAuthenticate(v) = a { Some(*v) } else { None });
        Ok(Self {
            handle,
            id,
            label,
            public: Parts::of_private(desk, handle)?,
            signs: flag(|a| if let Attribute::Sign(v) = a { Some(*v) } else { None }),
            sensitive: flag(|a| if let Attribute::Sensitive(v) = a { Some(*v) } else { None }),
            extractable: flag(|a| if let Attribute::Extractable(v) = a { Some(*v) } else { None }),
            local: flag(|a| if let Attribute::Local(v) = a { Some(*v) } else { None }),
            always_sensitive: flag(|a| if let Attribute::AlwaysSensitive(v) = a { Some(*v) } else { None }),
            never_extractable: flag(|a| if let Attribute::NeverExtractable(v) = a { Some(*v) } else { None }),
            wants_consent: consent == Some(true),
        })
    }

    /// Whether it signs, as the token and our mark on it say.
    pub(crate) fn state(&self) -> KeyState {
        match self.signs {
            _ if label::is_given_up(&self.label) => KeyState::DestructionScheduled,
            Some(false) => KeyState::Disabled,
            _ => KeyState::Usable,
        }
    }

    /// Refuses a key that can't sign with the algorithm, must not sign any more, or is not kept by its token. `name` is
    /// the key's for people.
    pub(crate) fn check(
        &self,
        name: &str,
        algorithm: SignatureAlgorithm,
        config: &TokenConfig,
    ) -> Result<(), SignError> {
        if !self.public.may_be(algorithm) {
            return Err(wrong_type(name, &self.public, algorithm));
        }
        let disabled = |why: String| Err(SignError::refused(Refusal::Disabled, format!("{name} {why}")));
        match self.state() {
            KeyState::DestructionScheduled => {
                return disabled(format!("was given up, as its label '{}' says", self.label.escape_debug()));
            }
            KeyState::Disabled => {
                return disabled(
                    "may not sign: its CKA_SIGN is false, which only its owner can change".to_owned(),
                );
            }
            _ => {}
        }
        match self.caution() {
            Some(why) if config.require_sensitive => {
                let setting = config.setting(Setting::RequireSensitive);
                let reason = format!(
                    "{name} is refused: {why}; make a key in the token that stays there, or set {setting} to false to take \
                     this one, of which status then warns for ever"
                );
                Err(SignError::refused(Refusal::Configuration, reason))
            }
            _ => Ok(()),
        }
    }

    /// What an operator has to know of it as long as it is used; nothing of a key that its token keeps.
    pub(crate) fn caution(&self) -> Option<String> {
        let mut said = Vec::new();
        if self.sensitive != Some(true) {
            said.push("it is not sensitive: CKA_SENSITIVE is not true");
        }
        match self.extractable {
            Some(false) => {}
            Some(true) => said.push("it may leave the token: CKA_EXTRACTABLE is true"),
            None => said.push("it may leave the token: nothing is said of CKA_EXTRACTABLE"),
        }
        (!said.is_empty()).then(|| said.join(", and "))
    }

    /// What speaks against taking it for the key that was made here for an intent; nothing of one that was.
    pub(crate) fn doubts(&self, algorithm: SignatureAlgorithm) -> Vec<String> {
        let wanted = [
            (self.local, "it was not made in the token: CKA_LOCAL is not true"),
            (self.always_sensitive, "it was not sensitive always: CKA_ALWAYS_SENSITIVE is not true"),
            (self.never_extractable, "it could leave the token once: CKA_NEVER_EXTRACTABLE is not true"),
            (self.sensitive, "it is not sensitive: CKA_SENSITIVE is not true"),
            (self.extractable.map(|is| !is), "it may leave the token: CKA_EXTRACTABLE is not false"),
            (self.signs, "it may not sign: CKA_SIGN is not true"),
        ];
        let mut doubts: Vec<String> = wanted
            .iter()
            .filter(|(holds, _)| *holds != Some(true))
            .map(|(_, why)| (*why).to_owned())
            .collect();
        if !self.public.may_be(algorithm) {
            doubts.push(format!("it is {}, not {algorithm}", self.public));
        }
        if label::is_given_up(&self.label) {
            doubts.push(format!("it was given up: its label is '{}'", self.label.escape_debug()));
        }
        doubts
    }
}

/// The key is of another kind than the algorithm.
pub(crate) fn wrong_type(name: &str, found: &Parts, algorithm: SignatureAlgorithm) -> SignError {
    let reason = format!("{name} is {found}, not {algorithm}: name the right key or the right algorithm");
    SignError::refused(Refusal::WrongType, reason)
}
