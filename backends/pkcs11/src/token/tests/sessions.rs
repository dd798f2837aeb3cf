//! Sessions: how many, for how long, and what is left of them.

use super::*;
use std::{process::Command, time::Duration};
use tokio::time::timeout;

/// The deadline of a caller.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_sign_at_once() {
    let rig = token_of_softhsm();
    let token = Token::new(config(&rig));
    token.run(Purpose::Change, make_key).await.unwrap();
    let token = std::sync::Arc::new(token);
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let token = token.clone();
            tokio::spawn(async move { signature(&token).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().len(), P384_LENGTH);
    }
}

#[tokio::test]
async fn a_handle_that_is_not_good_any_more_is_looked_up_anew() {
    let rig = token_of_softhsm();
    let token = Token::new(TokenConfig { sessions: 1, ..config(&rig) });
    token.run(Purpose::Change, make_key).await.unwrap();
    signature(&token).await.unwrap();
    token
        .run(Purpose::Change, |desk| {
            for object in desk.session.find_objects(&[Attribute::Id(vec![1])])? {
                desk.session.destroy_object(object)?;
            }
            make_key(&Desk { handles: &Default::default(), ..*desk })
        })
        .await
        .unwrap();
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn work_that_fails_leaves_the_session_to_the_next() {
    let rig = token_of_softhsm();
    let token = Token::new(TokenConfig { sessions: 1, ..config(&rig) });
    token.run(Purpose::Change, make_key).await.unwrap();
    let long = token
        .run(Purpose::Use, |desk| desk.sign(&Mechanism::Ecdsa, find_key(desk)?, &[7; 48], 3, false))
        .await
        .unwrap_err();
    assert!(long.to_string().contains("CKR_BUFFER_TOO_SMALL"), "{long}");
    let panicked = token.run::<()>(Purpose::Use, |_| panic!("on purpose")).await.unwrap_err();
    assert!(panicked.to_string().contains("panicked"), "{panicked}");
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_shut_down_takes_no_work_and_another_on_the_same_module_goes_on() {
    let rig = token_of_softhsm();
    let (one, other) = (Token::new(config(&rig)), Token::new(config(&rig)));
    one.run(Purpose::Change, make_key).await.unwrap();
    signature(&other).await.unwrap();
    one.shut_down().await;
    let refused = signature(&one).await.unwrap_err();
    assert!(refused.to_string().contains("let go"), "{refused}");
    signature(&other).await.unwrap();
    other.shut_down().await;

    // Ended, and initialised again.
    let third = Token::new(config(&rig));
    signature(&third).await.unwrap();
    third.shut_down().await;
}

#[tokio::test]
async fn a_module_that_others_in_the_process_ended_is_initialised_again() {
    let rig = token_of_softhsm();
    let token = Token::new(config(&rig));
    token.run(Purpose::Change, make_key).await.unwrap();
    for _ in 0..2 {
        cryptoki::context::Pkcs11::new(&rig.module).unwrap().finalize().unwrap();
        signature(&token).await.unwrap();
    }
    cryptoki::context::Pkcs11::new(&rig.module).unwrap().finalize().unwrap();
    let other = Token::new(config(&rig));
    signature(&other).await.unwrap();
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn a_token_that_another_process_made_anew_has_no_key_and_hangs_nobody() {
    let rig = token_of_softhsm();
    let token = Token::new(config(&rig));
    token.run(Purpose::Change, make_key).await.unwrap();
    // So that several sessions are open.
    let slow = |_: &Desk<'_>| {
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    };
    let (one, two) = tokio::join!(token.run(Purpose::Use, slow), token.run(Purpose::Use, slow));
    one.and(two).unwrap();
    let softhsm = |arguments: &[&str]| {
        let mut program = Command::new("softhsm2-util");
        let done = program.args(arguments).envs(rig.environment.clone()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    softhsm(&["--delete-token", "--token", &rig.label]);
    for _ in 0..3 {
        let error = timeout(PATIENCE, signature(&token)).await.unwrap().unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    softhsm(&["--init-token", "--free", "--label", &rig.label, "--so-pin", "11112222", "--pin", &rig.pin]);
    // The token rests still, or is looked for: what passes comes before what does not.
    let refused = async {
        loop {
            match signature(&token).await.unwrap_err() {
                error if error.is_transient() => tokio::time::sleep(Duration::from_millis(50)).await,
                error => return error,
            }
        }
    };
    let error = timeout(PATIENCE, refused).await.unwrap();
    assert!(matches!(&error, SignError::Refused { kind: Refusal::Missing, .. }), "{error}");
    token.run(Purpose::Change, make_key).await.unwrap();
    signature(&token).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_used_for_a_ceremony_is_logged_out_after_it() {
    let rig = token_of_softhsm();
    let watcher = Token::new(config(&rig));
    watcher.run(Purpose::Change, make_key).await.unwrap();
    watcher.shut_down().await;

    let ceremony = Token::new(TokenConfig { opening: Opening::WhileInUse, ..config(&rig) });
    let key = ceremony.hold();
    signature(&ceremony).await.unwrap();
    signature(&ceremony).await.unwrap();
    assert!(is_logged_in(&rig), "while the key is open");
    drop(key);
    let out = async {
        while is_logged_in(&rig) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), out).await.expect("still logged in");
    signature(&ceremony).await.unwrap();
}

/// The login belongs to the process: a session of the test's own sees it.
fn is_logged_in(rig: &TestToken) -> bool {
    let module = cryptoki::context::Pkcs11::new(&rig.module).unwrap();
    let slots = module.get_slots_with_token().unwrap();
    let slot = slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label() == rig.label);
    let session = module.open_ro_session(slot.unwrap()).unwrap();
    super::super::login::is_logged_in(&session).unwrap()
}
