//! Where a token is: found anew by what the operator calls it, for a slot's number changes.

use super::{
    login::Ledger,
    module::{Module, Visit},
};
use crate::{
    config::{Setting, TokenChoice, TokenConfig},
    trouble::Trouble,
};
use catalyst_signing::{Refusal, SignError};
use cryptoki::{
    mechanism::MechanismType,
    slot::{Limit, Slot, TokenInfo},
};
use std::{fmt, sync::Arc};

/// What a token says of itself.
#[derive(Clone, Debug)]
pub(crate) struct TokenFacts {
    pub(crate) label: String,
    pub(crate) serial: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) firmware: String,
    pub(crate) mechanisms: Vec<MechanismType>,
    /// The largest RSA modulus by mechanism, in bits; a mechanism of which the token does not say it is left out.
    pub(crate) rsa_bits: Vec<(MechanismType, usize)>,
    /// The most sessions that it gives one application; `None` where it does not say, or has no limit.
    pub(crate) sessions: Option<u64>,
}

/// A token in its slot, as long as it stays there.
pub(super) struct Place {
    pub(super) module: Arc<Module>,
    /// Which initialisation of the module it was found in.
    pub(super) epoch: u64,
    pub(super) slot: Slot,
    pub(super) facts: TokenFacts,
    /// Which finding of the token this is: sessions of an earlier one are not used any more.
    pub(super) generation: u64,
    /// Whether the module was initialised anew to find it.
    pub(super) anew: bool,
    /// The logins at it.
    pub(super) ledger: Arc<Ledger>,
    /// Whether it wants a login at all (CKF_LOGIN_REQUIRED).
    pub(super) login_required: bool,
}

/// Looks through the slots. `None`: no token fits, and `seen` says which there are.
pub(super) enum Search {
    Found(Box<(Slot, TokenInfo)>),
    Nothing { seen: Vec<String> },
}

pub(super) fn search(module: &Module, config: &TokenConfig) -> Result<Search, Trouble> {
    let mut fitting = Vec::new();
    let mut seen = Vec::new();
    for slot in module.pkcs11.get_slots_with_token()? {
        // One slot that does not answer is no reason not to use the others.
        let info = match module.pkcs11.get_token_info(slot) {
            Ok(info) => info,
            Err(error) => {
                seen.push(format!("one that does not answer ({})", Trouble::from(error).answer()));
                continue;
            }
        };
        if !info.token_initialized() {
            continue;
        }
        let names = Names::of(&info);
        seen.push(names.to_string());
        // A token may stand in several slots: its serial number shows that it is one.
        let known = |(_, other, _): &&(Slot, Names, TokenInfo)| !other.serial.is_empty() && *other == names;
        if names.fit(&config.token) && fitting.iter().find(known).is_none() {
            fitting.push((slot, names, info));
        }
    }
    if fitting.len() > 1 {
        let several: Vec<String> = fitting.iter().map(|(_, names, _)| names.to_string()).collect();
        return Err(SignError::refused(
            Refusal::Ambiguous,
            format!(
                "{}: {} fits {} tokens: {}; name one in {} by what sets it apart, best its serial number: \
                 pkcs11:serial=…",
                config.name,
                config.token,
                several.len(),
                several.join(", "),
                config.setting(Setting::Token),
            ),
        )
        .into());
    }
    let found = fitting.pop().map(|(slot, _, info)| Search::Found(Box::new((slot, info))));
    Ok(found.unwrap_or(Search::Nothing { seen }))
}

/// The error for a token that is not there. It may come back, so it does not latch.
pub(super) fn missing(config: &TokenConfig, seen: &[String]) -> SignError {
    let there = if seen.is_empty() { "no token at all".to_owned() } else { seen.join(", ") };
    SignError::unavailable(format!(
        "{}: {} is not there; {} has {there}; if the name is wrong, correct {}",
        config.name,
        config.token,
        config.module.display(),
        config.setting(Setting::Token),
    ))
}

impl Place {
    pub(super) fn new(
        visit: &Visit,
        slot: Slot,
        info: &TokenInfo,
        generation: u64,
        anew: bool,
    ) -> Result<Self, Trouble> {
        let module = visit.module().clone();
        let mechanisms = module.pkcs11.get_mechanism_list(slot)?;
        let names = Names::of(info);
        let ledger = module.ledger(&names);
        let Names { label, serial, manufacturer, model } = names;
        let facts = TokenFacts {
            label,
            serial,
            manufacturer,
            model,
            firmware: info.firmware_version().to_string(),
            rsa_bits: rsa_bits(&module, slot, &mechanisms),
            mechanisms,
            sessions: match info.max_session_count() {
                Limit::Max(most) => Some(most),
                Limit::Unavailable | Limit::Infinite => None,
            },
        };
        let epoch = visit.epoch()?;
        Ok(Self {
            module,
            epoch,
            slot,
            facts,
            generation,
            anew,
            ledger,
            login_required: info.login_required(),
        })
    }

    /// How many sessions are used at most.
    pub(super) fn sessions(&self, config: &TokenConfig) -> usize {
        let wanted = usize::try_from(config.sessions).unwrap_or(usize::MAX).max(1);
        wanted.min(self.allowance().unwrap_or(usize::MAX))
    }

    /// How many workers may have a session each, by what the token says: one is left for a read-write session.
    pub(super) fn allowance(&self) -> Option<usize> {
        let most = usize::try_from(self.facts.sessions?).unwrap_or(usize::MAX);
        Some(most.saturating_sub(1).max(1))
    }
}

/// What the token says of its RSA mechanisms. Some modules count octets where the standard wants bits.
fn rsa_bits(module: &Module, slot: Slot, mechanisms: &[MechanismType]) -> Vec<(MechanismType, usize)> {
    const RSA: [MechanismType; 5] = [
        MechanismType::RSA_PKCS_KEY_PAIR_GEN,
        MechanismType::RSA_PKCS,
        MechanismType::RSA_PKCS_PSS,
        MechanismType::SHA256_RSA_PKCS,
        MechanismType::SHA256_RSA_PKCS_PSS,
    ];
    let largest = |mechanism: MechanismType| {
        let most = module.pkcs11.get_mechanism_info(slot, mechanism).ok()?.max_key_size();
        (most > 0).then_some((mechanism, if most <= 1024 { most * 8 } else { most }))
    };
    RSA.into_iter().filter(|mechanism| mechanisms.contains(mechanism)).filter_map(largest).collect()
}

/// What a token is known by, without the padding: the standard's is blanks, but some tokens fill with NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    label: String,
    pub(super) serial: String,
    manufacturer: String,
    model: String,
}

impl Names {
    pub(super) fn of(info: &TokenInfo) -> Self {
        Self {
            label: unpadded(info.label()).to_owned(),
            serial: unpadded(info.serial_number()).to_owned(),
            manufacturer: unpadded(info.manufacturer_id()).to_owned(),
            model: unpadded(info.model()).to_owned(),
        }
    }

    fn fit(&self, choice: &TokenChoice) -> bool {
        let same =
            |want: &Option<String>, has: &str| want.as_deref().is_none_or(|want| unpadded(want) == has);
        match choice {
            TokenChoice::Label(label) => unpadded(label) == self.label,
            TokenChoice::Uri { label, serial, manufacturer, model } => {
                same(label, &self.label)
                    && same(serial, &self.serial)
                    && same(manufacturer, &self.manufacturer)
                    && same(model, &self.model)
            }
        }
    }
}

/// Fit for a line of a log.
impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' (serial {})", self.label.escape_debug(), self.serial.escape_debug())
    }
}

fn unpadded(field: &str) -> &str {
    field.trim_end_matches([' ', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(label: &str, serial: &str) -> Names {
        let (label, serial) = (unpadded(label).to_owned(), unpadded(serial).to_owned());
        Names { label, serial, manufacturer: "Acme".to_owned(), model: String::new() }
    }

    #[test]
    fn padding_is_no_part_of_a_name() {
        let named = names("ca\0\0\0", "0123\0 ");
        let uri = |serial: &str| TokenChoice::Uri {
            label: None,
            serial: Some(serial.to_owned()),
            manufacturer: None,
            model: None,
        };
        for fits in [TokenChoice::Label("ca".into()), TokenChoice::Label("ca  ".into()), uri("0123")] {
            assert!(named.fit(&fits), "{fits}");
        }
        for other in [TokenChoice::Label("c".into()), TokenChoice::Label(" ca".into()), uri("012")] {
            assert!(!named.fit(&other), "{other}");
        }
        assert_eq!(names("a\n", "\u{1b}").to_string(), "'a\\n' (serial \\u{1b})");
    }
}
