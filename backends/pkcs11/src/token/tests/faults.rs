//! What only real devices do, through a module that fails when it is told to.

use super::*;
use catalyst_rigs::pkcs11::Fault;
use catalyst_signing::TransientKind;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// A token with a key, behind the module with faults, that nobody has opened.
pub(super) async fn faulty(sessions: u32) -> (Fault, Arc<Token>) {
    let rig = token_of_softhsm();
    let maker = Token::new(config(&rig));
    maker.run(Purpose::Change, make_key).await.unwrap();
    maker.shut_down().await;
    let fault = Fault::before(&rig).unwrap();
    let token = Arc::new(Token::new(TokenConfig { sessions, ..config(fault.token()) }));
    (fault, token)
}

pub(super) async fn signatures(token: &Arc<Token>, count: usize) -> Vec<Result<Vec<u8>>> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let token = token.clone();
            tokio::spawn(async move { signature(&token).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.unwrap());
    }
    outcomes
}

/// Waits until somebody is in the function.
pub(super) async fn called(fault: &Fault, function: &str) {
    let call = async {
        while fault.counts(function).unwrap() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), call).await.unwrap();
}

fn is_transient(error: &SignError) -> bool {
    matches!(error, SignError::Transient { kind: TransientKind::Unavailable, .. })
}

#[tokio::test]
async fn one_login_serves_all_sessions() {
    let (fault, token) = faulty(4).await;
    fault.set(&["C_Sign delay 20ms"]).unwrap();
    for outcome in signatures(&token, 16).await {
        outcome.unwrap();
    }
    assert_eq!(fault.counts("C_Login").unwrap(), 1);
    assert_eq!(fault.counts("C_OpenSession").unwrap(), 4);
    assert_eq!(fault.counts("C_Sign").unwrap(), 16, "one call makes a signature");
}

#[tokio::test]
async fn what_is_lost_is_rebuilt_without_a_word_to_the_caller() {
    let (fault, token) = faulty(1).await;
    signature(&token).await.unwrap();
    for code in [
        "CKR_SESSION_HANDLE_INVALID",
        "CKR_SESSION_CLOSED",
        "CKR_DEVICE_REMOVED",
        "CKR_TOKEN_NOT_PRESENT",
        "CKR_TOKEN_NOT_RECOGNIZED",
        "CKR_CRYPTOKI_NOT_INITIALIZED",
        "CKR_OBJECT_HANDLE_INVALID",
        "CKR_KEY_HANDLE_INVALID",
        "CKR_USER_NOT_LOGGED_IN",
    ] {
        fault.set(&[&format!("C_SignInit return {code} times 1")]).unwrap();
        signature(&token).await.unwrap_or_else(|error| panic!("{code}: {error}"));
        fault.set(&[&format!("C_SignInit return {code}")]).unwrap();
        let before = fault.counts("C_SignInit").unwrap();
        signature(&token).await.unwrap_err();
        assert_eq!(fault.counts("C_SignInit").unwrap() - before, 2, "{code}: once more, and no more");
        fault.set(&[]).unwrap();
        // The token rests now.
        token.retry();
        signature(&token).await.unwrap_or_else(|error| panic!("after {code}: {error}"));
    }
}

#[tokio::test]
async fn a_failure_of_the_device_costs_the_session_and_work_is_not_run_again() {
    let (fault, token) = faulty(1).await;
    signature(&token).await.unwrap();
    for code in ["CKR_DEVICE_ERROR", "CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_HOST_MEMORY"] {
        fault.set(&[&format!("C_Sign return {code} times 1")]).unwrap();
        let (signed, opened) = (fault.counts("C_Sign").unwrap(), fault.counts("C_OpenSession").unwrap());
        let error = signature(&token).await.unwrap_err();
        assert!(is_transient(&error) && error.to_string().contains(code), "{error}");
        assert_eq!(fault.counts("C_Sign").unwrap(), signed + 1, "{code}");
        signature(&token).await.unwrap();
        assert_eq!(fault.counts("C_OpenSession").unwrap(), opened + 1, "{code}");
    }
}

#[tokio::test]
async fn a_token_that_is_pulled_and_put_back_is_found_again() {
    let (fault, token) = faulty(2).await;
    signature(&token).await.unwrap();
    fault.set(&["token away"]).unwrap();
    for _ in 0..3 {
        let error = signature(&token).await.unwrap_err();
        assert!(is_transient(&error), "{error}");
    }
    fault.set(&[]).unwrap();
    signature(&token).await.unwrap();
    assert_eq!(fault.counts("C_Login").unwrap(), 2);
}

#[tokio::test]
async fn sessions_that_were_closed_for_idleness_are_opened_anew() {
    let (fault, token) = faulty(2).await;
    fault.set(&["sessions idle 1s"]).unwrap();
    signature(&token).await.unwrap();
    sleep(Duration::from_millis(1300)).await;
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn an_idle_session_is_kept_alive() {
    let (fault, token) = faulty(1).await;
    fault.set(&["sessions idle 15s"]).unwrap();
    signature(&token).await.unwrap();
    sleep(Duration::from_millis(16_500)).await;
    signature(&token).await.unwrap();
    assert_eq!(fault.counts("C_OpenSession").unwrap(), 1);
}

#[tokio::test]
async fn a_token_that_gives_few_sessions_serves_everybody_with_those() {
    for rule in ["C_OpenSession limit 2", "C_GetTokenInfo sessions 3"] {
        let (fault, token) = faulty(8).await;
        fault.set(&[rule, "C_Sign delay 10ms"]).unwrap();
        for outcome in signatures(&token, 24).await {
            outcome.unwrap_or_else(|error| panic!("{rule}: {error}"));
        }
        token.run(Purpose::Change, make_key).await.unwrap_or_else(|error| panic!("{rule}: {error}"));
        signature(&token).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_with_one_session_makes_keys_too() {
    let (fault, token) = faulty(8).await;
    fault.set(&["C_OpenSession limit 1"]).unwrap();
    signature(&token).await.unwrap();
    token.run(Purpose::Change, make_key).await.unwrap();
    signature(&token).await.unwrap();
    fault.set(&["C_OpenSession limit 0"]).unwrap();
    let error = token.run(Purpose::Change, make_key).await.unwrap_err();
    assert!(is_transient(&error) && error.to_string().contains("CKR_SESSION_COUNT"), "{error}");
}

#[tokio::test]
async fn a_refused_pin_is_given_once_until_an_operator_retries() {
    let (fault, token) = faulty(4).await;
    fault.set(&["C_Login return CKR_PIN_INCORRECT"]).unwrap();
    for outcome in signatures(&token, 8).await {
        let error = outcome.unwrap_err();
        assert!(matches!(&error, SignError::Refused { kind: Refusal::Pin, .. }), "{error}");
    }
    assert_eq!(fault.counts("C_Login").unwrap(), 1);
    token.retry();
    signature(&token).await.unwrap_err();
    assert_eq!(fault.counts("C_Login").unwrap(), 2);
    fault.set(&[]).unwrap();
    signature(&token).await.unwrap_err();
    token.retry();
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn a_token_at_its_final_try_is_not_tried() {
    let (fault, token) = faulty(1).await;
    for (flag, says) in [("USER_PIN_FINAL_TRY", "would lock the token"), ("USER_PIN_LOCKED", "is locked")] {
        fault.set(&[&format!("C_GetTokenInfo flags +{flag}")]).unwrap();
        let error = signature(&token).await.unwrap_err();
        assert!(matches!(&error, SignError::Refused { kind: Refusal::Pin, .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(fault.counts("C_Login").unwrap(), 0);
    fault.set(&["C_GetTokenInfo flags +USER_PIN_COUNT_LOW"]).unwrap();
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn keys_that_want_a_login_each_time_get_one_and_no_two_interleave() {
    let (fault, token) = faulty(4).await;
    fault.set(&["C_GetAttributeValue always-authenticate"]).unwrap();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let token = token.clone();
            tokio::spawn(async move {
                let with_consent = |desk: &Desk<'_>| {
                    desk.sign(&Mechanism::Ecdsa, find_key(desk)?, &[7; 48], P384_LENGTH, true)
                };
                token.run(Purpose::Use, with_consent).await
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let calls = fault.calls().unwrap();
    let order: Vec<&str> = calls
        .iter()
        .map(String::as_str)
        .filter(|call| ["C_SignInit", "C_Login", "C_Sign"].contains(call))
        .skip_while(|call| *call == "C_Login")
        .collect();
    for three in order.chunks(3) {
        assert_eq!(three, ["C_SignInit", "C_Login", "C_Sign"]);
    }
    let error = signature(&token).await.unwrap_err();
    assert!(matches!(&error, SignError::Refused { kind: Refusal::Denied, .. }), "{error}");
}

#[tokio::test]
async fn a_pin_that_is_refused_between_two_calls_counts_like_any() {
    let (fault, token) = faulty(1).await;
    signature(&token).await.unwrap();
    let consented = async || {
        let with_consent =
            |desk: &Desk<'_>| desk.sign(&Mechanism::Ecdsa, find_key(desk)?, &[7; 48], P384_LENGTH, true);
        token.run(Purpose::Use, with_consent).await
    };
    fault.set(&["C_Login return CKR_PIN_LOCKED"]).unwrap();
    for _ in 0..3 {
        let error = consented().await.unwrap_err();
        assert!(matches!(&error, SignError::Refused { kind: Refusal::Pin, .. }), "{error}");
    }
    assert_eq!(fault.counts("C_Login").unwrap(), 2);
    assert_eq!(fault.counts("C_Sign").unwrap(), 1);
}

#[tokio::test]
async fn a_module_that_does_not_initialise_at_once_is_given_time() {
    let (fault, token) = faulty(1).await;
    fault.set(&["C_Initialize return CKR_GENERAL_ERROR times 3"]).unwrap();
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn a_call_that_hangs_costs_its_thread_and_no_more() {
    let (fault, token) = faulty(1).await;
    fault.set(&["C_Sign delay 25s times 1"]).unwrap();
    let hung = token.clone();
    let hung = tokio::spawn(async move { signature(&hung).await });
    called(&fault, "C_Sign").await;
    signature(&token).await.unwrap();
    assert!(!hung.is_finished(), "the second signature waited for the first");
    token.shut_down().await;
    assert!(!hung.is_finished(), "the end waited for the call that hangs");
    timeout(Duration::from_secs(60), hung).await.unwrap().unwrap().unwrap();
}

/// Waits until the token serves again; a minute is for machines that are busy.
async fn signs_again(token: &Token) {
    let again = async {
        while signature(token).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), again).await.unwrap();
}

#[tokio::test]
async fn when_every_session_hangs_work_is_refused_at_once() {
    let (fault, token) = faulty(8).await;
    fault.set(&["C_Sign hang", "C_GetTokenInfo sessions 2"]).unwrap();
    let hung = token.clone();
    tokio::spawn(async move { signature(&hung).await });
    called(&fault, "C_Sign").await;
    let waited = signature(&token).await.unwrap_err();
    assert!(is_transient(&waited) && waited.to_string().contains("hang"), "{waited}");
    let refused = signature(&token).await.unwrap_err();
    assert!(is_transient(&refused), "{refused}");
    fault.set(&[]).unwrap();
    signs_again(&token).await;
}

#[tokio::test]
async fn a_token_that_keeps_failing_rests_between_tries() {
    for code in ["CKR_DEVICE_REMOVED", "CKR_DEVICE_ERROR", "CKR_SESSION_HANDLE_INVALID"] {
        let softhsm = token_of_softhsm();
        let fault = Fault::before(&softhsm).unwrap();
        let token = Token::new(config(fault.token()));
        token.run(Purpose::Change, make_key).await.unwrap();
        signature(&token).await.unwrap();
        let (logins, signs) = (fault.counts("C_Login").unwrap(), fault.counts("C_Sign").unwrap());
        fault.set(&[&format!("C_Sign return {code}")]).unwrap();
        let mut rested = 0;
        while rested < 200 {
            let failed = signature(&token).await.unwrap_err();
            assert!(failed.is_transient(), "{failed}");
            if let Some(left) = failed.retry_after() {
                assert!(left <= Duration::from_secs(5) && failed.to_string().contains("rests"), "{failed}");
                rested += 1;
            }
            sleep(Duration::from_millis(2)).await;
        }
        let logins = fault.counts("C_Login").unwrap() - logins;
        let signs = fault.counts("C_Sign").unwrap() - signs;
        assert!(logins < 20 && signs < 20, "{code}: {logins} logins, {signs} signatures");

        fault.set(&[]).unwrap();
        signs_again(&token).await;
        // Whoever waits is answered a moment before the rest ends.
        sleep(Duration::from_millis(50)).await;
        for _ in 0..8 {
            signature(&token).await.unwrap();
        }
    }
}
