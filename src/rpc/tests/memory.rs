//! What a session holds for a client, whatever that does.

use super::{super::session::Session, LIMITS, Plain, object};
use crate::rpc::{Answer, Exception, Limits, Method, Object, Total, Transport, batch, serve};
use async_trait::async_trait;
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const ANSWER: usize = 3_000;
/// Many such answers are more than is kept.
const BURST: Limits = Limits { entries: 4_096, kept: 1_000_000, kept_at_first: 1_000_000, ..LIMITS };

/// A method whose answers are large.
struct Large;

#[async_trait]
impl Method for Large {
    async fn call(&self, _: Vec<Value>) -> Result<Answer, Exception> {
        sleep(Duration::from_millis(1)).await;
        Ok(Answer::Value("x".repeat(1_000_000).into()))
    }

    fn is_large(&self) -> bool {
        true
    }
}

fn main_object() -> Object {
    object(vec![
        ("text", Arc::new(Plain(|_| Ok(Answer::Value("x".repeat(ANSWER).into()))))),
        ("boom", Arc::new(Plain(|_| Err(Exception::error("x".repeat(ANSWER)))))),
        ("large", Arc::new(Large)),
    ])
}

fn call(method: &str) -> String {
    format!(r#"["push",["pipeline",0,["{method}"],[]]]"#)
}

/// All pushes, then all pulls, as `Promise.all` of the reference client has it.
fn burst(method: &str, count: usize) -> Vec<String> {
    let mut messages = vec![call(method); count];
    messages.extend((1..=count).map(|id| format!(r#"["pull",{id}]"#)));
    messages
}

/// A client that sends its messages and then nothing. It takes so many answers, and never another one.
struct Client {
    messages: std::vec::IntoIter<String>,
    takes: usize,
    answers: Vec<String>,
    taken: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for &mut Client {
    async fn receive(&mut self) -> Option<Result<String, Exception>> {
        match self.messages.next() {
            Some(message) => Some(Ok(message)),
            None => std::future::pending().await,
        }
    }

    async fn send(&mut self, message: String) -> bool {
        if self.answers.len() == self.takes {
            std::future::pending::<()>().await;
        }
        self.answers.push(message);
        self.taken.fetch_add(1, Ordering::SeqCst);
        true
    }
}

/// What a client hears that takes so many answers, and the most that was held for it at any time.
async fn served(messages: Vec<String>, takes: usize) -> (Vec<String>, usize) {
    let (total, taken) = (Total::default(), Arc::new(AtomicUsize::new(0)));
    let mut client =
        Client { messages: messages.into_iter(), takes, answers: Vec::new(), taken: Arc::clone(&taken) };
    let mut most = 0;
    let watch = async {
        for _ in 0..2_000 {
            most = most.max(total.octets());
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = watch => {}
        () = serve(&mut client, main_object(), &BURST, &total, std::future::pending()) => {}
    }
    assert_eq!(total.octets(), 0, "of a session that is over");
    (client.answers, most)
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_before_any_of_it_is_pulled_is_answered() {
    for method in ["text", "large"] {
        let count = if method == "text" { 2_000 } else { 100 };
        let (answers, most) = served(burst(method, count), usize::MAX).await;
        assert_eq!(answers.len(), count, "{method}");
        assert!(answers.iter().all(|answer| answer.starts_with(r#"["resolve","#)), "{method}");
        assert!(most < BURST.kept * 5 / 2, "{method}: {most}");
    }
    let total = Total::default();
    let limits = Limits { batch: 4_000, answers: usize::MAX, ..BURST };
    let answers = batch(main_object(), &burst("text", 2_000).join("\n"), &limits, &total).await;
    assert_eq!(answers.lines().filter(|answer| answer.starts_with(r#"["resolve","#)).count(), 2_000);
    assert_eq!(total.octets(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_owed_little_more_than_is_kept() {
    for method in ["text", "large", "boom"] {
        let mut pipelined = Vec::new();
        for id in 1..=1_000 {
            pipelined.extend([call(method), format!(r#"["pull",{id}]"#)]);
        }
        for messages in [burst(method, 1_000), pipelined, vec![call(method); 3_000]] {
            for takes in [0, 1, 5] {
                let (answers, most) = served(messages.clone(), takes).await;
                assert!(answers.len() <= takes);
                assert!(most < BURST.kept * 5 / 2, "{method}: {most}");
            }
        }
    }
}

/// Whoever pulls late is waited for, and whoever never pulls holds up no other call of its own for long.
#[tokio::test(start_paused = true)]
async fn answers_that_nobody_pulls_are_forgotten_after_a_while() {
    let mut messages = vec![call("text"); 1_001];
    messages.extend([r#"["pull",1001]"#.to_owned(), r#"["pull",1]"#.to_owned()]);
    let (answers, _) = served(messages, usize::MAX).await;
    let [early, late] = &*answers else { panic!("{} answers", answers.len()) };
    assert!(early.starts_with(r#"["resolve",1,"#), "{early}");
    assert!(late.starts_with(r#"["resolve",1001,"#), "{late}");
}

#[tokio::test(start_paused = true)]
async fn what_was_pulled_makes_room_before_what_was_not() {
    let total = Total::default();
    let mut session = Session::new(main_object(), &BURST, &total);
    for id in 1..=1_000 {
        session.take(&call("text")).unwrap();
        session.run().await;
        if id > 10 {
            session.take(&format!(r#"["pull",{id}]"#)).unwrap();
            assert!(session.answer(usize::MAX).unwrap().starts_with(r#"["resolve""#));
            assert_eq!(session.answer(usize::MAX), None);
        }
    }
    for id in 1..=10 {
        session.take(&format!(r#"["pull",{id}]"#)).unwrap();
        assert!(session.answer(usize::MAX).unwrap().starts_with(r#"["resolve""#), "{id}");
    }
    drop(session);
    assert_eq!(total.octets(), 0);
}
