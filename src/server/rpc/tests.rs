//! A socket to its end, on a clock that the tests move.

use super::{
    super::{peer::Channel, routes::tests::app},
    *,
};
use axum::extract::ws::Message;
use futures_util::{Sink, Stream};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, pause};

/// A client that has sent this, and takes nothing.
struct Deaf(VecDeque<&'static str>);

impl Stream for Deaf {
    type Item = Result<Message, axum::Error>;
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.pop_front().map_or(Poll::Pending, |message| Poll::Ready(Some(Ok(Message::text(message)))))
    }
}

impl Sink<Message> for Deaf {
    type Error = axum::Error;
    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Pending
    }
    fn start_send(self: Pin<&mut Self>, _: Message) -> Result<(), axum::Error> {
        Ok(())
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Pending
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_put_off_the_end() {
    let peer = Peer { address: ([127, 0, 0, 1], 4711).into(), channel: Channel::Plain };
    let visit = Visit::new(app().await, peer);
    pause();
    let stopping = CancellationToken::new();
    let sent = [r#"["push",["pipeline",0,["pki"],["garbage"]]]"#, r#"["pull",1]"#];
    let start = Instant::now();
    let stop = async {
        sleep(Duration::from_secs(60)).await;
        stopping.cancel();
    };
    tokio::join!(converse(Socket::new(Deaf(sent.into())), visit, &stopping), stop);
    assert_eq!(start.elapsed().as_secs(), 60 + 5 + 2);
}

#[tokio::test]
async fn a_client_that_does_not_take_a_message_is_gone_after_two_minutes() {
    let peer = Peer { address: ([127, 0, 0, 1], 4711).into(), channel: Channel::Plain };
    let visit = Visit::new(app().await, peer);
    pause();
    let sent = [r#"["push",["pipeline",0,["pki"],["garbage"]]]"#, r#"["pull",1]"#];
    let start = Instant::now();
    converse(Socket::new(Deaf(sent.into())), visit, &CancellationToken::new()).await;
    assert_eq!(start.elapsed().as_secs(), 120 + 2);
}

#[tokio::test]
async fn a_batch_waits_ten_seconds_for_its_turn() {
    let (app, batches) = (app().await, Arc::new(Places::new(1)));
    let request = || {
        let mut request = Request::new("[\"pull\",7]".into());
        let peer = Peer { address: ([127, 0, 0, 1], 4711).into(), channel: Channel::Plain };
        request.extensions_mut().insert(peer);
        batch(State(app.clone()), Extension(batches.clone()), request)
    };
    assert_eq!(request().await.unwrap().status(), 200);
    let turn = batches.vacancy().await;
    pause();
    let start = Instant::now();
    assert_eq!(request().await.unwrap_err().code(), "too_many_batches");
    assert_eq!(start.elapsed().as_secs(), TURN.as_secs());
    drop(turn);
    assert_eq!(request().await.unwrap().status(), 200);
}
