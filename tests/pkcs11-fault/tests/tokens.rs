//! The rigs work: tokens are made, and programs see them through PKCS#11.
#![allow(clippy::unwrap_used)]

mod program;

use catalyst_rigs::pkcs11::{Fault, Kryoptic, SoftHsm};
use cryptoki::mechanism::{Mechanism, MechanismType};
use program::Program;
use std::process::Command;

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

#[test]
fn another_process_sees_a_token_by_its_variables_alone() {
    let fault = Fault::before(&SoftHsm::new().unwrap().token().unwrap()).unwrap();
    let token = fault.token();
    let mut command = Command::new("softhsm2-util");
    command.arg("--show-slots").arg("--module").arg(&token.module).envs(token.variables());
    let shown = command.output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&token.label), "{shown}");
    assert_eq!(fault.counts("C_Initialize").unwrap(), 1);
}

#[test]
fn a_token_that_is_initialised_again_has_no_keys() {
    let softhsm = SoftHsm::here().unwrap();
    let token = softhsm.token().unwrap();
    let program = Program::of(&token);
    let session = program.login(&token).unwrap();
    program::p256_key(&session).unwrap();
    drop(session);
    program.finish();
    softhsm.initialise_again(&token).unwrap();
    let session = Program::of(&token).login(&token).unwrap();
    assert_eq!(session.find_objects(&[]).unwrap(), []);
}
