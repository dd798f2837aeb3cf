//! Against real modules: SoftHSM and Kryoptic.

mod adoption;
mod conformance;
mod existing;
mod faults;
mod giving_up;
mod plant;

use crate::{Opening, Pin, Pkcs11Backend, TokenChoice, TokenConfig};
use catalyst_rigs::pkcs11::{Kryoptic, SoftHsm, TestToken};
use catalyst_signing::{KeyIntent, KeyRole, Nonce, Refusal, Result, SignError, SignatureAlgorithm};
use std::time::SystemTime;

pub(crate) fn softhsm() -> TestToken {
    SoftHsm::here().unwrap().token().unwrap()
}

fn kryoptic() -> TestToken {
    Kryoptic::new().unwrap().token().unwrap()
}

/// One token of each module.
pub(crate) fn both() -> [TestToken; 2] {
    [softhsm(), kryoptic()]
}

pub(crate) fn config(token: &TestToken) -> TokenConfig {
    TokenConfig {
        name: "pkcs11".to_owned(),
        module: token.module.clone(),
        initialisation: token.initialisation.clone(),
        token: TokenChoice::Label(token.label.clone()),
        pin: Pin::Known(token.pin.clone().into()),
        sessions: 4,
        require_sensitive: true,
        opening: Opening::Kept,
    }
}

pub(crate) fn backend(token: &TestToken) -> Pkcs11Backend {
    Pkcs11Backend::new(config(token))
}

/// The words of a refusal of this kind.
fn refusal<T>(answer: Result<T>, wanted: Refusal) -> String {
    match answer {
        Err(SignError::Refused { kind, reason }) if kind == wanted => reason,
        Err(other) => panic!("not {wanted:?}: {other}"),
        Ok(_) => panic!("nothing was refused"),
    }
}

pub(crate) fn intent(role: KeyRole, generation: u32, algorithm: SignatureAlgorithm) -> KeyIntent {
    KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".to_owned(),
        role,
        generation,
        algorithm,
        created_at: SystemTime::now(),
    }
}
