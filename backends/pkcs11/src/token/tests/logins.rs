//! Logins: whose PIN is given, how often, and what goes on meanwhile.

use super::{
    faults::{called, faulty, signatures},
    *,
};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};
use tokio::time::sleep;

fn is_about_the_pin(error: &SignError) -> bool {
    matches!(error, SignError::Refused { kind: Refusal::Pin, .. })
}

#[tokio::test]
async fn a_pin_that_was_refused_under_one_name_of_a_token_is_not_given_under_another() {
    let (fault, token) = faulty(1).await;
    let other = Token::new(TokenConfig { name: "pkcs11:other".to_owned(), ..token.config().clone() });
    fault.set(&["C_Login return CKR_PIN_INCORRECT"]).unwrap();
    for token in [&*token, &other, &token] {
        let error = signature(token).await.unwrap_err();
        assert!(is_about_the_pin(&error), "{error}");
    }
    assert_eq!(fault.counts("C_Login").unwrap(), 1);
    // One wish for all of them is one more try.
    token.retry();
    other.retry();
    for token in [&*token, &other] {
        signature(token).await.unwrap_err();
    }
    assert_eq!(fault.counts("C_Login").unwrap(), 2);
    fault.set(&[]).unwrap();
    other.retry();
    signature(&other).await.unwrap();
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn a_login_that_fails_without_a_clear_word_and_costs_a_try_is_not_repeated() {
    let (fault, token) = faulty(1).await;
    let unclear = "C_Login return CKR_GENERAL_ERROR";
    fault.set(&["C_Login delay 300ms", unclear]).unwrap();
    let first = token.clone();
    let first = tokio::spawn(async move { signature(&first).await });
    called(&fault, "C_Login").await;
    fault.set(&[unclear, "C_GetTokenInfo flags +USER_PIN_COUNT_LOW"]).unwrap();
    let error = first.await.unwrap().unwrap_err();
    assert!(is_about_the_pin(&error) && error.to_string().contains("fewer tries left"), "{error}");
    let error = signature(&token).await.unwrap_err();
    assert!(is_about_the_pin(&error), "{error}");
    assert_eq!(fault.counts("C_Login").unwrap(), 1);
}

#[tokio::test]
async fn no_session_is_used_while_the_token_is_logged_out() {
    let (fault, token) = faulty(2).await;
    let token = Arc::new(Token::new(TokenConfig { opening: Opening::WhileInUse, ..token.config().clone() }));
    let key = token.hold();
    fault.set(&["C_Sign delay 50ms"]).unwrap();
    for outcome in signatures(&token, 2).await {
        outcome.unwrap();
    }
    assert_eq!(fault.counts("C_OpenSession").unwrap(), 2);
    // As if the last user had gone a moment before the next one came.
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let leaving = token.clone();
    let leaving = tokio::spawn(async move {
        let leave = move |desk: &Desk<'_>| {
            let wait = || gone.lock().unwrap().recv_timeout(Duration::from_secs(5)).is_err();
            desk.counter.logins.leave(desk.place, desk.session, wait);
            Ok(())
        };
        leaving.run(Purpose::Use, leave).await
    });
    sleep(Duration::from_millis(100)).await;
    let before = fault.counts("C_SignInit").unwrap();
    let next = token.clone();
    let next = tokio::spawn(async move { signature(&next).await });
    sleep(Duration::from_millis(200)).await;
    assert_eq!(fault.counts("C_SignInit").unwrap(), before);
    go.send(()).unwrap();
    leaving.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    assert_eq!(fault.counts("C_Login").unwrap(), 2);
    assert_eq!(fault.counts("C_OpenSession").unwrap(), 3, "a session of before the logout is not used");
    drop(key);
}

#[tokio::test]
async fn a_pin_goes_once_to_a_token_that_says_it_has_none() {
    let (fault, token) = faulty(1).await;
    fault.set(&["C_Login return CKR_USER_PIN_NOT_INITIALIZED"]).unwrap();
    for _ in 0..3 {
        let error = signature(&token).await.unwrap_err();
        assert!(is_about_the_pin(&error) && error.to_string().contains("no user PIN yet"), "{error}");
    }
    assert_eq!(fault.counts("C_Login").unwrap(), 1);
}

#[tokio::test]
async fn a_module_that_wants_an_initialisation_string_says_where_it_is_set() {
    let (fault, token) = faulty(1).await;
    fault.set(&["C_Initialize return CKR_ARGUMENTS_BAD"]).unwrap();
    let error = signature(&token).await.unwrap_err().to_string();
    assert!(error.contains("CKR_ARGUMENTS_BAD") && error.contains("CATALYST_PKI_PKCS11_INIT"), "{error}");
}
