//! Frames of an RPC client, one a line, as a batch and over a socket.
#![no_main]

use async_trait::async_trait;
use catalyst_pki::rpc::{self, Answer, Exception, Limits, Method, Object, Total, Transport};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

const LIMITS: Limits = Limits {
    message: 4096,
    depth: 40,
    entries: 16,
    kept: 8000,
    kept_at_first: 4000,
    running: 4,
    batch: 64,
    answers: 100_000,
};

/// What a method of the object does.
#[derive(Clone, Copy)]
enum Body {
    Echo,
    Later,
    Nothing,
    Fail,
    Object,
}

#[async_trait]
impl Method for Body {
    async fn call(&self, arguments: Vec<Value>) -> Result<Answer, Exception> {
        match self {
            Self::Echo => Ok(Answer::Value(Value::Array(arguments))),
            Self::Later => {
                tokio::task::yield_now().await;
                Ok(Answer::Value(json!({ "list": arguments, "text": "t" })))
            }
            Self::Nothing => Ok(Answer::Nothing),
            Self::Fail => Err(Exception::error("failed")),
            Self::Object => Ok(Answer::Object(object())),
        }
    }
}

fn object() -> Object {
    [
        ("echo", Body::Echo),
        ("later", Body::Later),
        ("nothing", Body::Nothing),
        ("fail", Body::Fail),
        ("object", Body::Object),
    ]
    .map(|(name, body)| (name, Arc::new(body) as Arc<dyn Method>))
    .to_vec()
    .into()
}

/// A socket whose client sends lines and checks each answer.
struct Lines<'a>(std::str::Lines<'a>);

#[async_trait]
impl Transport for Lines<'_> {
    async fn receive(&mut self) -> Option<Result<String, Exception>> {
        self.0.next().map(|line| Ok(line.to_owned()))
    }

    async fn send(&mut self, message: String) -> bool {
        check(&message);
        true
    }
}

fn check(message: &str) {
    let message = serde_json::from_str::<Value>(message).expect("JSON");
    let kind = message[0].as_str().expect("a kind");
    assert!(["resolve", "reject", "release", "abort"].contains(&kind), "{kind}");
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
});

fuzz_target!(|frames: &str| {
    RUNTIME.block_on(async {
        let total = Total::default();
        rpc::batch(object(), frames, &LIMITS, &total).await.lines().for_each(check);
        rpc::serve(Lines(frames.lines()), object(), &LIMITS, &total, std::future::pending()).await;
        assert_eq!(total.octets(), 0);
    });
});
