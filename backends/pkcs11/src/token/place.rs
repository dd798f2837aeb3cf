//! Where a token is: found anew by what the operator calls it, for a slot's number changes.

use super::module::{Module, Visit};
use crate::{
    config::{Setting, TokenChoice, TokenConfig},
    trouble::Trouble,
};
use catalyst_signing::{Refusal, SignError};
use cryptoki::{
    mechanism::MechanismType,
    slot::{Limit, Slot, TokenInfo},
};
use std::sync::Arc;

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
        let Ok(info) = module.pkcs11.get_token_info(slot) else {
            continue;
        };
        if !info.token_initialized() {
            continue;
        }
        seen.push(format!("'{}' (serial {})", info.label(), info.serial_number()));
        if fits(&config.token, &info) {
            fitting.push((slot, info));
        }
    }
    if fitting.len() > 1 {
        let serials: Vec<&str> = fitting.iter().map(|(_, info)| info.serial_number()).collect();
        return Err(SignError::refused(
            Refusal::Ambiguous,
            format!(
                "{}: {} fits {} tokens (serials {}); name one by its serial in {}: pkcs11:serial={}",
                config.name,
                config.token,
                serials.len(),
                serials.join(", "),
                config.setting(Setting::Token),
                serials[0],
            ),
        )
        .into());
    }
    Ok(fitting.pop().map_or(Search::Nothing { seen }, |found| Search::Found(Box::new(found))))
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
    pub(super) fn new(visit: &Visit, slot: Slot, info: &TokenInfo, generation: u64) -> Result<Self, Trouble> {
        let module = visit.module().clone();
        let mechanisms = module.pkcs11.get_mechanism_list(slot)?;
        let facts = TokenFacts {
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            firmware: info.firmware_version().to_string(),
            rsa_bits: rsa_bits(&module, slot, &mechanisms),
            mechanisms,
            sessions: match info.max_session_count() {
                Limit::Max(most) => Some(most),
                Limit::Unavailable | Limit::Infinite => None,
            },
        };
        let epoch = visit.epoch()?;
        Ok(Self { module, epoch, slot, facts, generation, login_required: info.login_required() })
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

fn fits(choice: &TokenChoice, info: &TokenInfo) -> bool {
    let same = |want: &Option<String>, has: &str| want.as_deref().is_none_or(|want| want == has);
    match choice {
        TokenChoice::Label(label) => info.label() == label,
        TokenChoice::Uri { label, serial, manufacturer, model } => {
            same(label, info.label())
                && same(serial, info.serial_number())
                && same(manufacturer, info.manufacturer_id())
                && same(model, info.model())
        }
    }
}
