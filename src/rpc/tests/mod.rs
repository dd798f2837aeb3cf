//! What a session does, from the wire.

mod errors;
mod limits;
mod memory;
mod properties;
mod serving;
mod transcripts;
mod values;

use super::{Answer, Exception, Limits, Method, Object, Total, Transport, batch, serve, session::Session};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

pub(super) const LIMITS: Limits = Limits {
    message: 10_000,
    depth: 32,
    entries: 100,
    kept: 50_000,
    kept_at_first: 50_000,
    running: 8,
    batch: 50,
    answers: 20_000,
};

type Body = fn(Vec<Value>) -> Result<Answer, Exception>;

/// A method that answers at once.
pub(super) struct Plain(pub(super) Body);

#[async_trait]
impl Method for Plain {
    async fn call(&self, arguments: Vec<Value>) -> Result<Answer, Exception> {
        (self.0)(arguments)
    }
}

/// Answers its argument after so many milliseconds of its first argument.
pub(super) struct Slow;

#[async_trait]
impl Method for Slow {
    async fn call(&self, mut arguments: Vec<Value>) -> Result<Answer, Exception> {
        let milliseconds = arguments.first().and_then(Value::as_u64).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        Ok(Answer::Value(arguments.pop().unwrap_or_default()))
    }
}

pub(super) fn object(methods: Vec<(&'static str, Arc<dyn Method>)>) -> Object {
    methods.into()
}

fn plain(body: Body) -> Arc<dyn Method> {
    Arc::new(Plain(body))
}

/// The object of the transcripts.
pub(super) fn main_object() -> Object {
    object(vec![
        ("tokens", plain(tokens)),
        ("pki", plain(pki)),
        ("echo", plain(|arguments| Ok(Answer::Value(Value::Array(arguments))))),
        ("nothing", plain(|_| Ok(Answer::Nothing))),
        ("boom", plain(|_| Err(Exception::error("boom")))),
        ("panic", plain(|_| panic!("on purpose"))),
        ("slow", Arc::new(Slow)),
    ])
}

fn tokens(arguments: Vec<Value>) -> Result<Answer, Exception> {
    if arguments != [json!("<jwt>")] {
        return Ok(Answer::Value(json!({"error": "Invalid token"})));
    }
    Ok(Answer::Object(object(vec![
        (
            "create",
            plain(|arguments| {
                assert_eq!(arguments, [json!({"subject": "x", "expiresIn": "1h"})]);
                Ok(Answer::Value(json!("<jwt>")))
            }),
        ),
        ("list", plain(|_| Ok(Answer::Value(json!([{"jti": "1", "sans": ["a"]}]))))),
        ("revoke", plain(|_| Ok(Answer::Nothing))),
    ])))
}

fn pki(_: Vec<Value>) -> Result<Answer, Exception> {
    Ok(Answer::Object(object(vec![(
        "signCsr",
        plain(|_| Ok(Answer::Value(json!({"success": true, "certificatePem": "…", "chain": ["…", "…"]})))),
    )])))
}

/// The answers to messages that come together.
pub(super) async fn answers(messages: &[&str]) -> Vec<String> {
    batch(main_object(), &messages.join("\n"), &LIMITS, &Total::default())
        .await
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Lets all calls end that can.
pub(super) async fn go_on(session: &mut Session) {
    while session.is_busy() || session.is_stalled() {
        if session.is_stalled() {
            session.unstall();
        }
        session.run().await;
    }
}

/// A conversation over a socket.
pub(super) struct Dialogue {
    messages: mpsc::UnboundedSender<String>,
    answers: mpsc::UnboundedReceiver<String>,
}

struct Channel {
    messages: mpsc::UnboundedReceiver<String>,
    answers: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl Transport for Channel {
    async fn receive(&mut self) -> Option<Result<String, Exception>> {
        self.messages.recv().await.map(Ok)
    }

    async fn send(&mut self, message: String) -> bool {
        self.answers.send(message).is_ok()
    }
}

impl Dialogue {
    pub(super) fn new() -> Self {
        Self::with(main_object(), LIMITS, std::future::pending())
    }

    pub(super) fn with(
        main: Object,
        limits: Limits,
        end: impl Future<Output = Exception> + Send + 'static,
    ) -> Self {
        let (messages, received) = mpsc::unbounded_channel();
        let (sent, answers) = mpsc::unbounded_channel();
        let channel = Channel { messages: received, answers: sent };
        tokio::spawn(async move { serve(channel, main, &limits, &Total::default(), end).await });
        Self { messages, answers }
    }

    pub(super) fn sends(&self, messages: &[String]) {
        for message in messages {
            self.messages.send(message.clone()).unwrap();
        }
    }

    /// Sends, and awaits exactly these answers.
    pub(super) async fn says(&mut self, messages: &[&str], answers: &[&str]) {
        for message in messages {
            self.messages.send((*message).to_owned()).unwrap();
        }
        for answer in answers {
            assert_eq!(self.answers.recv().await.as_deref(), Some(*answer));
        }
        tokio::task::yield_now().await;
        assert!(self.answers.try_recv().is_err(), "more was answered");
    }

    /// The next answer; `None` when the session is over.
    pub(super) async fn hears(&mut self) -> Option<String> {
        self.answers.recv().await
    }
}
