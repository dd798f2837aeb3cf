//! When a visit ends, on a clock that the tests move.

use super::{
    super::super::{
        peer::Channel,
        routes::tests::{SYSTEM, app},
    },
    *,
};
use tokio::time::{Instant, pause};

async fn visit() -> Visit {
    let app = app().await;
    pause();
    Visit::new(app, Peer { address: ([127, 0, 0, 1], 4711).into(), channel: Channel::Plain })
}

/// What the client hears, and after how many seconds.
async fn end(visit: &Visit, stopping: &CancellationToken) -> (String, u64) {
    let start = Instant::now();
    let exception = visit.end(stopping).await;
    (exception.message, start.elapsed().as_secs())
}

#[tokio::test]
async fn who_shows_no_good_credential_has_five_minutes() {
    let visit = visit().await;
    assert!(visit.enter(&SecretString::from("garbage")).await.is_err());
    assert_eq!(end(&visit, &CancellationToken::new()).await, (UNKNOWN.to_owned(), 300));
}

#[tokio::test]
async fn who_is_known_stays_until_the_service_stops() {
    let (visit, stopping) = (visit().await, CancellationToken::new());
    visit.known().push_back([0; 32]);
    let ended = timeout(Duration::from_secs(86_400), visit.end(&stopping)).await;
    assert!(ended.is_err(), "{ended:?}");
    stopping.cancel();
    assert_eq!(end(&visit, &stopping).await, (STOPPING.to_owned(), 0));
}

#[tokio::test]
async fn calls_have_ten_seconds_when_the_service_stops() {
    let (visit, stopping) = (visit().await, CancellationToken::new());
    stopping.cancel();
    let brief = visit.begin();
    let (ended, ()) = tokio::join!(end(&visit, &stopping), async {
        sleep(Duration::from_secs(3)).await;
        drop(brief);
    });
    assert_eq!(ended, (STOPPING.to_owned(), 3));
    let _endless = visit.begin();
    assert_eq!(end(&visit, &stopping).await, (STOPPING.to_owned(), 10));
}

#[tokio::test]
async fn the_first_reason_is_told_once_what_was_answered_has_left() {
    let (visit, stopping) = (visit().await, CancellationToken::new());
    visit.put_end(REVOKED);
    visit.put_end(DENIED);
    assert_eq!(end(&visit, &stopping).await, (REVOKED.to_owned(), 0));
}

#[tokio::test]
async fn a_revoked_credential_ends_the_visit_it_was_brought_to_and_no_other() {
    let visit = visit().await;
    let (known, unknown) = (SecretString::from("known"), SecretString::from("unknown"));
    visit.known().push_back(sha256(b"known"));
    let revoked = || visit.app.refused(AccessError::Revoked, &visit.peer);
    assert_eq!(visit.heard(revoked(), &unknown).sentence(), "Invalid token");
    let expired = visit.app.refused(AccessError::Expired, &visit.peer);
    assert_eq!(visit.heard(expired, &known).code(), "credential_expired");
    assert_eq!(*visit.over.borrow(), None);
    assert_eq!(visit.heard(revoked(), &known).code(), "credential_revoked");
    assert_eq!(*visit.over.borrow(), Some(REVOKED));
}

#[tokio::test]
async fn who_is_known_takes_no_place_of_strangers_and_is_crowded_out_by_none() {
    let strangers = Strangers::new(2);
    let unknown = visit().await.among(&strangers);
    let known = Visit::new(unknown.app.clone(), unknown.peer.clone()).among(&strangers);
    known.enter(&SYSTEM.into()).await.unwrap();
    let is_out = async |visit: &Visit| timeout(Duration::from_secs(1), visit.crowded_out()).await.is_ok();
    let _second = strangers.join();
    assert!(!is_out(&unknown).await);
    let _others = (strangers.join(), strangers.join());
    assert!(is_out(&unknown).await);
    assert!(!is_out(&known).await);
}

#[tokio::test]
async fn who_becomes_known_as_it_is_crowded_out_stays() {
    let strangers = Strangers::new(1);
    let visit = visit().await.among(&strangers);
    let _other = strangers.join();
    visit.known().push_back([0; 32]);
    assert!(timeout(Duration::from_secs(1), visit.crowded_out()).await.is_err());
}
