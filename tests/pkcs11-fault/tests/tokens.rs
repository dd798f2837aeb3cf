//! The rigs work: tokens are made, and programs see them through PKCS#11.
#![allow(clippy::unwrap_used)]

mod program;

use catalyst_rigs::pkcs11::{Kryoptic, SoftHsm};
use cryptoki::mechanism::{Mechanism, MechanismType};
use program::Program;

#[test]
fn two_tokens_of_softhsm_are_seen_in_this_process_and_sign() {
    let softhsm = SoftHsm::here().unwrap();
    let (one, other) = (softhsm.token().unwrap(), softhsm.token().unwrap());
    assert_eq!(one.module, other.module);
    for token in [one, other] {
        let program = Program::of(&token);
        let session = program.login(&token).unwrap();
        let key = program::p256_key(&session).unwrap();
        assert_eq!(session.sign(&Mechanism::Ecdsa, key, &[7; 32]).unwrap().len(), 64);
    }
}

#[test]
fn two_rigs_of_one_process_share_no_module() {
    let (one, other) = (SoftHsm::here().unwrap(), SoftHsm::here().unwrap());
    let one = one.token().unwrap();
    let first = Program::of(&one);
    let other = other.token().unwrap();
    let second = Program::of(&other);
    first.finish();
    second.login(&other).unwrap();
}

#[test]
fn a_token_of_kryoptic_needs_no_variable_and_knows_ml_dsa() {
    let kryoptic = Kryoptic::new().unwrap();
    for token in [kryoptic.token().unwrap(), kryoptic.token().unwrap()] {
        let program = Program::of(&token);
        assert!(program.module.get_mechanism_list(program.slot).unwrap().contains(&MechanismType::ML_DSA));
        let session = program.login(&token).unwrap();
        let key = program::p256_key(&session).unwrap();
        assert_eq!(session.sign(&Mechanism::Ecdsa, key, &[7; 32]).unwrap().len(), 64);
        program.finish();
    }
}
