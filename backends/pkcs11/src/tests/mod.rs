//! Against real modules: SoftHSM and Kryoptic.

mod conformance;
mod plant;

use crate::{Login, Pin, Pkcs11Backend, TokenChoice, TokenConfig};
use catalyst_rigs::pkcs11::{Kryoptic, SoftHsm, TestToken};
use catalyst_signing::{KeyIntent, KeyRole, Nonce, SignatureAlgorithm};
use std::time::SystemTime;

fn softhsm() -> TestToken {
    SoftHsm::here().unwrap().token().unwrap()
}

fn kryoptic() -> TestToken {
    Kryoptic::new().unwrap().token().unwrap()
}

fn config(token: &TestToken) -> TokenConfig {
    TokenConfig {
        name: "pkcs11".to_owned(),
        module: token.module.clone(),
        initialisation: token.initialisation.clone(),
        token: TokenChoice::Label(token.label.clone()),
        pin: Pin::Known(token.pin.clone().into()),
        sessions: 4,
        require_sensitive: true,
        login: Login::Kept,
    }
}

fn backend(token: &TestToken) -> Pkcs11Backend {
    Pkcs11Backend::new(config(token))
}

fn intent(role: KeyRole, generation: u32, algorithm: SignatureAlgorithm) -> KeyIntent {
    KeyIntent {
        nonce: Nonce::random().unwrap(),
        deployment: "0123456789abcdef".to_owned(),
        role,
        generation,
        algorithm,
        created_at: SystemTime::now(),
    }
}
