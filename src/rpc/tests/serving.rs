//! A session over a socket: calls side by side, and the ways in which it ends.

use super::{Dialogue, LIMITS, Plain, main_object, object};
use crate::rpc::{Answer, Exception, Method, Total, Transport, serve};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;

#[tokio::test(start_paused = true)]
async fn a_slow_call_delays_no_other() {
    let mut dialogue = Dialogue::new();
    dialogue
        .says(
            &[
                r#"["push",["pipeline",0,["slow"],[100,"slow"]]]"#,
                r#"["pull",1]"#,
                r#"["push",["pipeline",0,["slow"],[1,"fast"]]]"#,
                r#"["pull",2]"#,
            ],
            &[r#"["resolve",2,"fast"]"#, r#"["resolve",1,"slow"]"#],
        )
        .await;
}

/// A client that lets go of a promise still has what it asked for, and what it asked of it.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_released_goes_on() {
    let mut dialogue = Dialogue::new();
    dialogue
        .says(
            &[
                r#"["push",["pipeline",0,["slow"],[10,{"a":"b"}]]]"#,
                r#"["push",["pipeline",1,["a"]]]"#,
                r#"["pull",1]"#,
                r#"["release",1,1]"#,
                r#"["pull",2]"#,
            ],
            &[r#"["resolve",1,{"a":"b"}]"#, r#"["resolve",2,"b"]"#],
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_sent_once_and_only_when_it_is_pulled() {
    let mut dialogue = Dialogue::new();
    dialogue.says(&[r#"["push",["pipeline",0,["echo"],[1]]]"#], &[]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    dialogue.says(&[r#"["pull",1]"#, r#"["pull",1]"#], &[r#"["resolve",1,[[1]]]"#]).await;
}

/// Counts itself while it runs.
struct Counted(Arc<AtomicUsize>);

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Method for Counted {
    async fn call(&self, _: Vec<Value>) -> Result<Answer, Exception> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(&self.0));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drop(running);
        Ok(Answer::Nothing)
    }
}

async fn settled(count: &AtomicUsize, expected: usize) {
    while count.load(Ordering::SeqCst) != expected {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn calls_are_dropped_when_the_client_goes() {
    let count = Arc::new(AtomicUsize::new(0));
    let main = object(vec![("wait", Arc::new(Counted(Arc::clone(&count))))]);
    let mut dialogue = Dialogue::with(main, LIMITS, std::future::pending());
    dialogue
        .says(&[r#"["push",["pipeline",0,["wait"],[]]]"#, r#"["push",["pipeline",0,["wait"],[]]]"#], &[])
        .await;
    settled(&count, 2).await;
    drop(dialogue);
    settled(&count, 0).await;
}

#[tokio::test]
async fn the_end_comes_after_what_is_answered_and_before_what_is_not() {
    let count = Arc::new(AtomicUsize::new(0));
    let main = object(vec![
        ("wait", Arc::new(Counted(Arc::clone(&count)))),
        ("now", Arc::new(Plain(|_| Ok(Answer::Value(json!([1])))))),
    ]);
    let (end, ended) = oneshot::channel::<Exception>();
    let mut dialogue = Dialogue::with(main, LIMITS, async { ended.await.unwrap() });
    dialogue
        .says(
            &[
                r#"["push",["pipeline",0,["wait"],[]]]"#,
                r#"["pull",1]"#,
                r#"["push",["pipeline",0,["now"],[]]]"#,
                r#"["pull",2]"#,
            ],
            &[r#"["resolve",2,[[1]]]"#],
        )
        .await;
    end.send(Exception::error("The service ends.")).unwrap();
    assert_eq!(dialogue.hears().await.unwrap(), r#"["abort",["error","Error","The service ends."]]"#);
    assert_eq!(dialogue.hears().await, None);
    settled(&count, 0).await;
}

/// Says after a while that it has run.
struct Late(Arc<AtomicUsize>);

#[async_trait]
impl Method for Late {
    async fn call(&self, _: Vec<Value>) -> Result<Answer, Exception> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Answer::Nothing)
    }
}

/// A client that reads nothing until the late call has run.
struct Stuck {
    messages: std::vec::IntoIter<&'static str>,
    late: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Stuck {
    async fn receive(&mut self) -> Option<Result<String, Exception>> {
        self.messages.next().map(|message| Ok(message.to_owned()))
    }

    async fn send(&mut self, _: String) -> bool {
        settled(&self.late, 1).await;
        true
    }
}

#[tokio::test]
async fn calls_go_on_while_the_client_reads_nothing() {
    let late = Arc::new(AtomicUsize::new(0));
    let main = object(vec![
        ("late", Arc::new(Late(Arc::clone(&late)))),
        ("now", Arc::new(Plain(|_| Ok(Answer::Nothing)))),
    ]);
    let messages = vec![
        r#"["push",["pipeline",0,["late"],[]]]"#,
        r#"["push",["pipeline",0,["now"],[]]]"#,
        r#"["pull",2]"#,
    ];
    let stuck = Stuck { messages: messages.into_iter(), late: Arc::clone(&late) };
    serve(stuck, main, &LIMITS, &Total::default(), std::future::pending()).await;
    assert_eq!(late.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_ends_the_session_with_an_abort() {
    let mut dialogue = Dialogue::with(main_object(), LIMITS, std::future::pending());
    dialogue.says(&[r#"["abort",["error","Error","enough"]]"#], &[]).await;
    assert_eq!(dialogue.hears().await, None);
}
