//! Each rule shows at a real token, and is gone when it is gone.
#![allow(clippy::unwrap_used)]

mod program;

use catalyst_rigs::pkcs11::{Fault, Kryoptic, SoftHsm};
use cryptoki::{
    error::{Error, Result, RvError},
    mechanism::{
        Mechanism,
        dsa::{HedgeType, SignAdditionalContext},
    },
    object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType, ObjectHandle},
    session::{Session, UserType},
    slot::Limit,
    types::AuthPin,
};
use program::Program;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

fn softhsm() -> Fault {
    Fault::before(&SoftHsm::here().unwrap().token().unwrap()).unwrap()
}

fn sign(session: &Session, key: ObjectHandle) -> Result<Vec<u8>> {
    session.sign(&Mechanism::Ecdsa, key, &[7; 32])
}

#[track_caller]
fn says<T>(result: Result<T>, wanted: RvError) {
    match result {
        Err(Error::Pkcs11(value, _)) if value == wanted => {}
        Err(error) => panic!("{error:?} in place of {wanted:?}"),
        Ok(_) => panic!("success in place of {wanted:?}"),
    }
}

#[test]
fn without_rules_the_token_is_as_it_was_and_calls_are_counted() {
    let fault = softhsm();
    assert_eq!(fault.counts("C_Login").unwrap(), 0);
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let key = program::p256_key(&session).unwrap();
    let before = fault.counts("C_SignInit").unwrap();
    for _ in 0..3 {
        assert_eq!(sign(&session, key).unwrap().len(), 64);
    }
    drop(session);
    program.finish();
    assert_eq!(fault.counts("C_Login").unwrap(), 1);
    assert_eq!(fault.counts("C_SignInit").unwrap() - before, 3);
    assert_eq!(fault.counts("C_OpenSession").unwrap(), 1);
    assert_eq!(fault.calls().unwrap().last().unwrap(), "C_Finalize");
}

#[test]
fn a_return_value_comes_as_often_as_the_rule_says_and_ends_the_signature() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let key = program::p256_key(&session).unwrap();
    fault.set(&["C_Sign return CKR_DEVICE_ERROR times 3"]).unwrap();
    for _ in 0..3 {
        says(sign(&session, key), RvError::DeviceError);
    }
    sign(&session, key).unwrap();
    fault.set(&["C_Sign return CKR_DEVICE_ERROR times 3"]).unwrap();
    says(sign(&session, key), RvError::DeviceError);
    fault.set(&["C_GenerateKeyPair return CKR_DEVICE_MEMORY", "C_SignInit return 0x30"]).unwrap();
    says(program::p256_key(&session), RvError::DeviceMemory);
    says(sign(&session, key), RvError::DeviceError);
    fault.set(&[]).unwrap();
    sign(&session, key).unwrap();
}

#[test]
fn a_module_that_does_not_start_at_once_and_a_wrong_pin() {
    let fault = softhsm();
    fault
        .set(&["C_Initialize return CKR_GENERAL_ERROR times 2", "C_Login return CKR_PIN_INCORRECT"])
        .unwrap();
    let module = cryptoki::context::Pkcs11::new(&fault.token().module).unwrap();
    for _ in 0..2 {
        says(program::initialise(&module, fault.token()), RvError::GeneralError);
    }
    let program = Program::of(fault.token());
    says(program.login(fault.token()), RvError::PinIncorrect);
    assert_eq!(fault.counts("C_Initialize").unwrap(), 3);
}

#[test]
fn calls_that_are_slow_and_that_hang_until_the_rule_is_gone() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let key = program::p256_key(&session).unwrap();
    fault.set(&["C_SignInit delay 300ms times 1"]).unwrap();
    let start = Instant::now();
    sign(&session, key).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));

    fault.set(&["C_SignInit hang"]).unwrap();
    let hanging = thread::spawn(move || sign(&session, key).map(|_| session));
    thread::sleep(Duration::from_millis(300));
    assert!(!hanging.is_finished());
    // Another session is not held up.
    program.module.open_ro_session(program.slot).unwrap().close().unwrap();
    fault.set(&[]).unwrap();
    hanging.join().unwrap().unwrap();
}

#[test]
fn one_bit_of_a_signature_is_turned() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let key = program::p256_key(&session).unwrap();
    let public =
        session.find_objects(&[Attribute::KeyType(KeyType::EC), Attribute::Verify(true)]).unwrap()[0];
    let verify = |signature: &[u8]| session.verify(&Mechanism::Ecdsa, public, &[7; 32], signature);
    verify(&sign(&session, key).unwrap()).unwrap();
    fault.set(&["C_Sign flip"]).unwrap();
    let turned = sign(&session, key).unwrap();
    says(verify(&turned), RvError::SignatureInvalid);
    let mut back = turned;
    back[32] ^= 1;
    verify(&back).unwrap();
}

#[test]
fn a_token_says_what_a_rule_makes_it_say() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let info = || program.module.get_token_info(program.slot).unwrap();
    assert!(!info().user_pin_final_try() && info().rng());
    fault
        .set(&[
            "C_GetTokenInfo flags +USER_PIN_FINAL_TRY",
            "C_GetTokenInfo flags -RNG",
            "C_GetTokenInfo sessions 10",
        ])
        .unwrap();
    assert!(info().user_pin_final_try() && !info().rng());
    assert!(matches!(info().max_session_count(), Limit::Max(10)));
}

#[test]
fn only_so_many_sessions_are_open_at_once() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    fault.set(&["C_OpenSession limit 2"]).unwrap();
    let open = || program.module.open_ro_session(program.slot);
    let (one, _other) = (open().unwrap(), open().unwrap());
    says(open(), RvError::SessionCount);
    one.close().unwrap();
    open().unwrap();
}

#[test]
fn sessions_that_nobody_uses_are_closed() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let idle = program.login(fault.token()).unwrap();
    let used = program.login(fault.token()).unwrap();
    fault.set(&["sessions idle 400ms"]).unwrap();
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(100));
        used.get_session_info().unwrap();
    }
    says(idle.get_session_info(), RvError::SessionHandleInvalid);
    thread::sleep(Duration::from_millis(500));
    says(used.get_session_info(), RvError::SessionHandleInvalid);
    fault.set(&[]).unwrap();
    // The login went with the last session.
    program.login(fault.token()).unwrap();
    assert_eq!(fault.counts("C_Login").unwrap(), 3);
}

#[test]
fn a_token_that_was_away_has_forgotten_sessions_and_login() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let key = program::p256_key(&session).unwrap();
    fault.set(&["token away"]).unwrap();
    says(sign(&session, key), RvError::DeviceRemoved);
    says(program.module.open_ro_session(program.slot), RvError::TokenNotPresent);
    says(program.module.get_token_info(program.slot), RvError::TokenNotPresent);
    assert_eq!(program.module.get_slots_with_token().unwrap(), []);
    assert!(program.module.get_all_slots().unwrap().contains(&program.slot));
    assert!(!program.module.get_slot_info(program.slot).unwrap().token_present());

    fault.set(&[]).unwrap();
    says(sign(&session, key), RvError::SessionHandleInvalid);
    let session = program.module.open_rw_session(program.slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(fault.token().pin.as_str().into()))).unwrap();
    says(sign(&session, key), RvError::ObjectHandleInvalid);
    let again = session.find_objects(&[Attribute::Sign(true)]).unwrap()[0];
    sign(&session, again).unwrap();
}

#[test]
fn a_token_can_go_away_in_the_middle_of_a_call() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let key = program::p256_key(&session).unwrap();
    fault.set(&["C_Sign hang"]).unwrap();
    let hanging = thread::spawn(move || sign(&session, key));
    thread::sleep(Duration::from_millis(100));
    fault.set(&["token away"]).unwrap();
    says(hanging.join().unwrap(), RvError::DeviceRemoved);
}

#[test]
fn a_key_that_wants_the_pin_for_each_signature() {
    // Signatures in parts, without which cryptoki has no moment for a login, are not for SoftHSM's ECDSA.
    let fault = Fault::before(&Kryoptic::new().unwrap().token().unwrap()).unwrap();
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let key = program::p256_key(&session).unwrap();
    let asks = || session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]).unwrap();
    assert_eq!(asks(), [Attribute::AlwaysAuthenticate(false)]);
    fault.set(&["C_GetAttributeValue always-authenticate"]).unwrap();
    assert_eq!(asks(), [Attribute::AlwaysAuthenticate(true)]);

    says(sign(&session, key), RvError::UserNotLoggedIn);
    let login = |pin: &str| session.login(UserType::ContextSpecific, Some(&AuthPin::new(pin.into())));
    says(login(&fault.token().pin), RvError::OperationNotInitialized);
    session.sign_init(&Mechanism::EcdsaSha256, key).unwrap();
    says(login("1111"), RvError::PinIncorrect);
    login(&fault.token().pin).unwrap();
    session.sign_update(b"message").unwrap();
    assert_eq!(session.sign_final().unwrap().len(), 64);
    // Once for each signature.
    session.sign_init(&Mechanism::EcdsaSha256, key).unwrap();
    says(session.sign_update(b"message"), RvError::UserNotLoggedIn);
    fault.set(&[]).unwrap();
    sign(&session, key).unwrap();
}

#[test]
fn a_key_pair_is_made_and_the_answer_lost() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    let session = program.login(fault.token()).unwrap();
    let keys = || session.find_objects(&[Attribute::Sign(true)]).unwrap().len();
    fault.set(&["generate-then-fail times 1"]).unwrap();
    says(program::p256_key(&session), RvError::DeviceError);
    assert_eq!(keys(), 1);
    program::p256_key(&session).unwrap();
    assert_eq!(keys(), 2);
}

#[test]
fn rules_that_are_not_understood_let_nothing_pass() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    fault.set(&["C_Sign explode"]).unwrap();
    says(program.module.open_ro_session(program.slot), RvError::GeneralError);
    fault.set(&[]).unwrap();
    program.module.open_ro_session(program.slot).unwrap();
}

#[test]
fn two_faults_in_one_process_know_nothing_of_each_other() {
    let (one, other) = (softhsm(), softhsm());
    let first = Program::of(one.token());
    one.set(&["token away"]).unwrap();
    says(first.login(one.token()), RvError::TokenNotPresent);
    Program::of(other.token()).login(other.token()).unwrap();
    assert_eq!(one.counts("C_Login").unwrap(), 0);
}

#[test]
fn a_module_of_pkcs11_3_keeps_its_version_and_ml_dsa() {
    let fault = Fault::before(&Kryoptic::new().unwrap().token().unwrap()).unwrap();
    let program = Program::of(fault.token());
    assert!(program.module.is_fn_supported(cryptoki::context::Function::LoginUser));
    let session = program.login(fault.token()).unwrap();
    let public = [Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_65.into())];
    let (_, key) =
        session.generate_key_pair(&Mechanism::MlDsaKeyPairGen, &public, &[Attribute::Sign(true)]).unwrap();
    let mechanism = Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None));
    let sign = || session.sign(&mechanism, key, b"message");
    assert_eq!(sign().unwrap().len(), 3309);
    fault.set(&["C_Sign return CKR_DEVICE_ERROR times 1"]).unwrap();
    says(sign(), RvError::DeviceError);
    assert_eq!(sign().unwrap().len(), 3309);
}

#[test]
fn threads_sign_while_the_token_comes_and_goes() {
    let fault = softhsm();
    let program = Program::of(fault.token());
    program::p256_key(&program.login(fault.token()).unwrap()).unwrap();
    let signs_once = || -> Result<()> {
        let session = program.login(fault.token())?;
        let key = session.find_objects(&[Attribute::Sign(true)])?;
        key.first().map_or(Ok(()), |key| sign(&session, *key).map(|_| ()))
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut signed = 0;
                    while !over.load(Ordering::Relaxed) {
                        signed += u32::from(signs_once().is_ok());
                    }
                    signed
                })
            })
            .collect();
        for rules in [["token away"], ["sessions idle 0ms"], ["C_Sign flip"]].iter().cycle().take(30) {
            fault.set(rules).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() > 0));
    });
    fault.set(&[]).unwrap();
    signs_once().unwrap();
}
