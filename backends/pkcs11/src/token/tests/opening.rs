//! Modules, slots, PINs: what an operator may have got wrong.

use super::*;
use catalyst_signing::TransientKind;
use secrecy::ExposeSecret as _;
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

async fn refusal(config: TokenConfig, kind: Refusal) -> String {
    let error = Token::new(config).run(Purpose::Use, |_| Ok(())).await.unwrap_err();
    assert!(matches!(&error, SignError::Refused { kind: is, .. } if *is == kind), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_module_that_is_none_is_named_with_the_setting_and_loaded_once_it_is_there() {
    let rig = token_of_softhsm();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("module.so");
    let wrong = |name: &str| TokenConfig { name: name.to_owned(), module: path.clone(), ..config(&rig) };

    let missing = refusal(wrong("pkcs11"), Refusal::Configuration).await;
    assert!(missing.contains("CATALYST_PKI_PKCS11_MODULE"), "{missing}");
    assert!(missing.contains(&path.display().to_string()), "{missing}");
    let named = refusal(wrong("pkcs11:hsm-1"), Refusal::Configuration).await;
    assert!(named.contains("`module` in the table [pkcs11.hsm-1]"), "{named}");

    fs::write(&path, "not a library").unwrap();
    let token = Token::new(wrong("pkcs11"));
    let error = token.run(Purpose::Use, |_| Ok(())).await.unwrap_err();
    assert!(error.latches(), "{error}");
    fs::remove_file(&path).unwrap();
    fs::copy(&rig.module, &path).unwrap();
    token.retry();
    token.run(Purpose::Use, |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_library_of_something_else_is_no_module() {
    let rig = token_of_softhsm();
    let module = PathBuf::from("/lib/x86_64-linux-gnu/libm.so.6");
    let module = if module.exists() { module } else { PathBuf::from("/lib64/libm.so.6") };
    let error = refusal(TokenConfig { module, ..config(&rig) }, Refusal::Configuration).await;
    assert!(error.contains("is no PKCS#11 module"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_not_there_is_waited_for_and_those_that_are_there_are_named() {
    let rig = token_of_softhsm();
    let config = TokenConfig { token: TokenChoice::Label("nobody".to_owned()), ..config(&rig) };
    let error = Token::new(config).run(Purpose::Use, |_| Ok(())).await.unwrap_err();
    assert!(matches!(&error, SignError::Transient { kind: TransientKind::Unavailable, .. }), "{error}");
    for part in ["'nobody'", &rig.label, "CATALYST_PKI_PKCS11_TOKEN"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_token_is_seen_that_was_made_after_the_module_was_loaded() {
    let softhsm = SoftHsm::here().unwrap();
    let first = softhsm.token().unwrap();
    let token = Token::new(TokenConfig { token: TokenChoice::Label("none".to_owned()), ..config(&first) });
    token.run(Purpose::Use, |_| Ok(())).await.unwrap_err();
    let second = softhsm.token().unwrap();
    let later = Token::new(config(&second));
    later.run(Purpose::Use, |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn several_tokens_that_fit_are_told_apart_by_serial() {
    let softhsm = SoftHsm::here().unwrap();
    let rigs = [softhsm.token().unwrap(), softhsm.token().unwrap()];
    let by = |serial: Option<String>| TokenConfig {
        token: TokenChoice::Uri {
            label: None,
            serial,
            manufacturer: Some("SoftHSM project".to_owned()),
            model: Some("SoftHSM v2".to_owned()),
        },
        ..config(&rigs[0])
    };
    let error = refusal(by(None), Refusal::Ambiguous).await;
    assert!(error.contains("name one in CATALYST_PKI_PKCS11_TOKEN by what sets it apart"), "{error}");

    let facts = Token::new(config(&rigs[0])).run(Purpose::Use, |desk| Ok(desk.facts.clone())).await.unwrap();
    assert_eq!(facts.label, rigs[0].label);
    let token = Token::new(by(Some(facts.serial.clone())));
    let again = token.run(Purpose::Use, |desk| Ok(desk.facts.clone())).await.unwrap();
    assert_eq!(again.serial, facts.serial);
}

#[tokio::test]
async fn a_wrong_pin_is_tried_once_until_an_operator_or_another_pin_says_otherwise() {
    let rig = token_of_softhsm();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pin");
    let write = |pin: &str| {
        fs::write(&path, pin).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("87654321");
    let token = Token::new(TokenConfig { pin: Pin::File(path.clone()), ..config(&rig) });
    let first = token.run(Purpose::Use, |_| Ok(())).await.unwrap_err();
    assert!(matches!(&first, SignError::Refused { kind: Refusal::Pin, .. }), "{first}");
    assert!(first.to_string().contains("CKR_PIN_INCORRECT"), "{first}");
    assert!(first.to_string().contains(&path.display().to_string()), "{first}");
    assert!(!format!("{first:?} {token:?}").contains("87654321"));
    assert_eq!(token.run(Purpose::Use, |_| Ok(())).await.unwrap_err(), first);

    write(&rig.pin);
    token.run(Purpose::Use, |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_pin_file_that_is_open_to_others_is_refused() {
    let rig = token_of_softhsm();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pin");
    fs::write(&path, &rig.pin).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = refusal(TokenConfig { pin: Pin::File(path), ..config(&rig) }, Refusal::Pin).await;
    assert!(error.contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_token_without_a_pin_pad_says_so() {
    let rig = token_of_softhsm();
    let error = refusal(TokenConfig { pin: Pin::Pad, ..config(&rig) }, Refusal::Pin).await;
    assert!(error.contains("no PIN pad"), "{error}");
}

#[test]
fn a_token_prints_no_pin() {
    let config = TokenConfig {
        name: "pkcs11".to_owned(),
        module: "/m.so".into(),
        initialisation: None,
        token: TokenChoice::Label("ca".to_owned()),
        pin: Pin::Known(SecretString::from("s3cret")),
        sessions: 1,
        require_sensitive: true,
        opening: Opening::Kept,
    };
    let Pin::Known(pin) = &config.pin else { unreachable!() };
    assert!(!format!("{:?}", Token::new(config.clone())).contains(pin.expose_secret()));
}

#[tokio::test]
async fn a_token_whose_files_were_away_for_a_moment_serves_again() {
    let rig = token_of_softhsm();
    let token = Token::new(config(&rig));
    token.run(Purpose::Change, make_key).await.unwrap();
    signature(&token).await.unwrap();
    let look = |desk: &Desk<'_>| {
        desk.handles.borrow_mut().clear();
        sign(desk)
    };
    for _ in 0..2 {
        fs::rename("tokens", "tokens.x").unwrap();
        let gone = token.run(Purpose::Use, look).await;
        fs::rename("tokens.x", "tokens").unwrap();
        assert!(gone.as_ref().is_err_and(SignError::is_transient), "{gone:?}");
        // SoftHSM may say once more that the token is broken, which is as transient.
        let mut again = gone;
        for _ in 0..10 {
            token.retry();
            again = signature(&token).await;
            if !again.as_ref().is_err_and(SignError::is_transient) {
                break;
            }
        }
        again.unwrap();
    }
}
