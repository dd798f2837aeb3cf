//! A WebSocket (RFC 6455), as a session sees it: whole messages, until the client is gone.

use crate::rpc::{Exception, Transport};
use async_trait::async_trait;
use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message, Utf8Bytes, close_code},
};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use std::{future::pending, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// How often a client is asked whether it is there: proxies forget connections on which nothing goes for a minute.
const PING: Duration = Duration::from_secs(30);
/// So many questions in a row may go unanswered; at the next the client is gone.
const UNANSWERED: u32 = 2;
/// How long a client may take for one message: until then the service holds it, and whatever else it owes.
const TAKING: Duration = Duration::from_secs(120);
/// How long a client may take to hear that the socket ends. One that is closed with something unread resets the
/// connection, and the last message with it.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the sockets that make place for others may take to be told.
const DISMISSAL: Duration = Duration::from_millis(100);
/// At most 123 octets (RFC 6455, 5.5.1).
const CROWDED: &str =
    "too many sockets without a good credential: connect again, and call an entry point at once";

/// What frames come from and go to.
pub(super) trait Frames:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

impl<T> Frames for T where
    T: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

/// One client's WebSocket.
pub(super) struct Socket<F> {
    frames: F,
    pings: Interval,
    unanswered: u32,
}

impl<F: Frames> Socket<F> {
    pub(super) fn new(frames: F) -> Self {
        let mut pings = interval_at(Instant::now() + PING, PING);
        // While nobody reads here, for the session waits for its calls, nothing is asked.
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { frames, pings, unanswered: 0 }
    }

    /// Closes the socket of a client that others made place for, and waits for nothing.
    pub(super) async fn dismiss(mut self) {
        let reason = Utf8Bytes::from_static(CROWDED);
        let close = CloseFrame { code: close_code::AGAIN, reason };
        let _ = timeout(DISMISSAL, self.frames.send(Message::Close(Some(close)))).await;
    }

    /// Closes the socket, and waits until the client has heard it.
    pub(super) async fn farewell(mut self) {
        let leave = async {
            let close = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
            if self.frames.send(Message::Close(Some(close))).await.is_err() {
                return;
            }
            loop {
                match self.frames.next().await {
                    None => return,
                    Some(Ok(_)) => {}
                    // A frame that is too large stays where it is. The client may be sending it still.
                    Some(Err(_)) => pending().await,
                }
            }
        };
        // Whether it heard is its own affair.
        let _ = timeout(FAREWELL, leave).await;
    }
}

#[async_trait]
impl<F: Frames> Transport for &mut Socket<F> {
    async fn receive(&mut self) -> Option<Result<String, Exception>> {
        loop {
            tokio::select! {
                // What a client has sent counts before what it has not.
                biased;
                frame = self.frames.next() => {
                    self.unanswered = 0;
                    match frame? {
                        Ok(Message::Text(message)) => return Some(Ok(message.as_str().to_owned())),
                        Ok(Message::Ping(_) | Message::Pong(_)) => {}
                        Ok(Message::Close(_)) => return None,
                        Ok(Message::Binary(_)) => {
                            let why = "a message is one text frame: binary frames are not taken";
                            return Some(Err(Exception::type_error(why)));
                        }
                        Err(error) => return Some(Err(Exception::error(format!("no message could be read: {error}")))),
                    }
                }
                _ = self.pings.tick() => {
                    if self.unanswered == UNANSWERED {
                        return None;
                    }
                    self.unanswered += 1;
                    self.frames.send(Message::Ping(Bytes::new())).await.ok()?;
                }
            }
        }
    }

    async fn send(&mut self, message: String) -> bool {
        timeout(TAKING, self.frames.send(Message::text(message))).await.is_ok_and(|sent| sent.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    /// A client at the other end of two channels.
    struct Client {
        to_server: UnboundedSender<Result<Message, axum::Error>>,
        from_server: UnboundedReceiver<Message>,
    }

    struct Wire(UnboundedReceiver<Result<Message, axum::Error>>, UnboundedSender<Message>);

    impl Stream for Wire {
        type Item = Result<Message, axum::Error>;
        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(context)
        }
    }

    impl Sink<Message> for Wire {
        type Error = axum::Error;
        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
            Poll::Ready(Ok(()))
        }
        fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
            self.1.send(message).map_err(axum::Error::new)
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
            Poll::Ready(Ok(()))
        }
    }

    fn connected() -> (Client, Socket<Wire>) {
        let (to_server, received) = unbounded_channel();
        let (sent, from_server) = unbounded_channel();
        (Client { to_server, from_server }, Socket::new(Wire(received, sent)))
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_no_question_for_a_minute_is_gone() {
        let (mut client, mut socket) = connected();
        let start = Instant::now();
        assert!((&mut &mut socket).receive().await.is_none());
        assert_eq!(start.elapsed(), PING * 3);
        for _ in 0..2 {
            assert_eq!(client.from_server.try_recv(), Ok(Message::Ping(Bytes::new())));
        }
        client.from_server.try_recv().unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_stays() {
        let (mut client, mut socket) = connected();
        let answering = tokio::spawn(async move {
            for _ in 0..100 {
                let asked = client.from_server.recv().await.unwrap();
                assert!(matches!(asked, Message::Ping(_)));
                client.to_server.send(Ok(Message::Pong(Bytes::new()))).unwrap();
            }
            client.to_server.send(Ok(Message::text("hello"))).unwrap();
            client
        });
        let start = Instant::now();
        assert_eq!((&mut &mut socket).receive().await.unwrap().unwrap(), "hello");
        assert_eq!(start.elapsed(), PING * 100);
        drop(answering.await.unwrap());
        assert!((&mut &mut socket).receive().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_reads_is_not_held_against_the_client() {
        let (client, mut socket) = connected();
        tokio::time::sleep(PING * 20).await;
        client.to_server.send(Ok(Message::text("hello"))).unwrap();
        assert_eq!((&mut &mut socket).receive().await.unwrap().unwrap(), "hello");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_text_frame_is_an_exception() {
        let (client, mut socket) = connected();
        client.to_server.send(Ok(Message::Binary(Bytes::from_static(b"[]")))).unwrap();
        let error = (&mut &mut socket).receive().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "TypeError: a message is one text frame: binary frames are not taken");
        client.to_server.send(Err(axum::Error::new("too long"))).unwrap();
        let error = (&mut &mut socket).receive().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "Error: no message could be read: too long");
        client.to_server.send(Ok(Message::Close(None))).unwrap();
        assert!((&mut &mut socket).receive().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_two_seconds_to_hear_the_end() {
        for (last, wait) in
            [(Some(Ok(Message::Close(None))), 0), (Some(Err(axum::Error::new("too long"))), 2), (None, 2)]
        {
            let (client, socket) = connected();
            let Client { to_server, mut from_server } = client;
            // Another sender keeps the wire open where the client says nothing.
            let open = (wait > 0).then(|| to_server.clone());
            if let Some(last) = last {
                to_server.send(last).unwrap();
            }
            drop(to_server);
            let start = Instant::now();
            socket.farewell().await;
            assert_eq!(start.elapsed(), Duration::from_secs(wait));
            assert!(matches!(from_server.try_recv(), Ok(Message::Close(Some(_)))));
            drop(open);
        }
    }
}
