//! Where everything ends.

use super::{super::session::Session, Dialogue, LIMITS, answers, go_on, main_object};
use crate::rpc::{Limits, Total, batch};

fn echo(argument: &str) -> String {
    format!(r#"["push",["pipeline",0,["echo"],[{argument}]]]"#)
}

#[tokio::test]
async fn a_message_has_a_size() {
    let largest = echo(&format!(r#""{}""#, "x".repeat(LIMITS.message - echo("\"\"").len())));
    assert_eq!(largest.len(), LIMITS.message);
    assert_eq!(answers(&[&largest]).await, [""; 0]);
    assert_eq!(
        answers(&[&(largest + " ")]).await,
        [r#"["abort",["error","TypeError","Incoming message exceeds maximum size of 10000 octets."]]"#]
    );
}

#[tokio::test]
async fn a_message_has_a_depth() {
    let nested = |levels: usize| echo(&format!("{}{}", "[[".repeat(levels), "]]".repeat(levels)));
    assert_eq!(answers(&[&nested(14)]).await, [""; 0]);
    let deep =
        r#"["abort",["error","TypeError","Deserialization exceeded maximum allowed message depth of 32."]]"#;
    assert_eq!(answers(&[&nested(15)]).await, [deep]);
    assert_eq!(answers(&["[".repeat(LIMITS.message).as_str()]).await, [deep]);
    let quoted = echo(&format!(r#""{}\"{}""#, "[".repeat(100), "[".repeat(100)));
    assert_eq!(answers(&[&quoted]).await, [""; 0]);
}

#[tokio::test]
async fn answers_that_are_put_into_arguments_make_no_call_grow_beyond_a_message() {
    let double = |id: usize| echo(&format!(r#"["pipeline",{id}],["pipeline",{id}]"#));
    let mut messages = vec![echo(r#""xxxxxxxxxxxxxxxx""#)];
    messages.extend((1..=10).map(double));
    messages.push(r#"["pull",11]"#.into());
    let messages = messages.iter().map(String::as_str).collect::<Vec<_>>();
    let large = r#"["reject",11,["error","TypeError","With the answers that are its arguments, this call is too large."]]"#;
    assert_eq!(answers(&messages).await, [large]);

    let wrap = |id: usize| echo(&format!(r#"["pipeline",{id}]"#));
    let mut messages = vec![echo("1")];
    messages.extend((1..=40).map(wrap));
    messages.push(r#"["pull",41]"#.into());
    let messages = messages.iter().map(String::as_str).collect::<Vec<_>>();
    let deep = r#"["reject",41,["error","TypeError","With the answers that are its arguments, this call is nested too deeply."]]"#;
    assert_eq!(answers(&messages).await, [deep]);
}

#[tokio::test]
async fn what_was_not_used_for_long_is_forgotten_and_the_session_goes_on() {
    let limits = Limits { kept: 1_000_000, ..LIMITS };
    let mut dialogue = Dialogue::with(main_object(), limits, std::future::pending());
    let object = r#"["resolve",1,{"create":["export",-1],"list":["export",-2],"revoke":["export",-3]}]"#;
    dialogue.says(&[r#"["push",["pipeline",0,["tokens"],["<jwt>"]]]"#, r#"["pull",1]"#], &[object]).await;
    for id in (2..500).step_by(2) {
        // What was pulled makes room for others first.
        dialogue.says(&[&echo(r#""text""#)], &[]).await;
        let used = format!(r#"["pull",{}]"#, id + 1);
        let resolved = format!(r#"["resolve",{},[[{{"jti":"1","sans":[["a"]]}}]]]"#, id + 1);
        dialogue.says(&[r#"["push",["pipeline",-2,[],[]]]"#, &used], &[&resolved]).await;
    }
    let gone = |id: i64, of: i64| {
        format!(
            r#"["reject",{id},["error","Error","{of} was forgotten: this session keeps the 100 answers and methods that were used last, and 1000000 octets. Ask for it again, from the entry point on."]]"#
        )
    };
    dialogue.says(&[r#"["push",["pipeline",-1,[],[]]]"#, r#"["pull",500]"#], &[&gone(500, -1)]).await;
    dialogue.says(&[r#"["push",["pipeline",1,["create"],[]]]"#, r#"["pull",501]"#], &[&gone(501, 1)]).await;
    dialogue.says(&[r#"["pull",2]"#], &[&gone(2, 2)]).await;
    dialogue.says(&[r#"["release",1,1]"#, r#"["release",-1,1]"#], &[]).await;
    dialogue.says(&[&echo("1"), r#"["pull",502]"#], &[r#"["resolve",502,[[1]]]"#]).await;
}

#[tokio::test]
async fn answers_beyond_what_is_kept_are_forgotten_before_methods_are() {
    let mut session = Session::new(main_object(), &LIMITS, &Total::default());
    let large = echo(&format!(r#""{}""#, "x".repeat(3000)));
    session.take(r#"["push",["pipeline",0,["tokens"],["<jwt>"]]]"#).unwrap();
    for _ in 0..20 {
        session.take(&large).unwrap();
        go_on(&mut session).await;
        assert!(session.kept() <= LIMITS.kept + 4_000, "{}", session.kept());
    }
    session.take(r#"["push",["pipeline",1,["list"],[]]]"#).unwrap();
    go_on(&mut session).await;
    session.take(r#"["pull",22]"#).unwrap();
    assert_eq!(session.answer(usize::MAX).unwrap(), r#"["resolve",22,[[{"jti":"1","sans":[["a"]]}]]]"#);
    session.take(r#"["pull",2]"#).unwrap();
    assert!(session.answer(usize::MAX).unwrap().contains("was forgotten"));
}

#[tokio::test]
async fn an_answer_beyond_what_is_kept_is_given_once() {
    let mut session = Session::new(main_object(), &Limits { kept: 2_000, ..LIMITS }, &Total::default());
    for (id, early) in [(2, true), (3, false)] {
        if id == 2 {
            session.take(r#"["push",["pipeline",0,["tokens"],["<jwt>"]]]"#).unwrap();
            session.run().await;
        }
        session.take(&echo(&format!(r#""{}""#, "x".repeat(3_000)))).unwrap();
        let pull = format!(r#"["pull",{id}]"#);
        if early {
            session.take(&pull).unwrap();
        }
        session.run().await;
        if !early {
            session.take(&pull).unwrap();
        }
        assert!(session.answer(usize::MAX).unwrap().len() > 3_000);
        assert_eq!(session.answer(usize::MAX), None);
        assert!(session.kept() <= 2_000, "{}", session.kept());
        session.take(&format!(r#"["release",{id},1]"#)).unwrap();
    }
}

/// Whatever a client that nothing was given to does, it holds little.
#[tokio::test]
async fn who_was_given_nothing_keeps_little() {
    let limits = Limits { entries: 4096, kept: 1_000_000, kept_at_first: 20_000, ..LIMITS };
    let name = "x".repeat(900);
    let failing = format!(r#"["push",["pipeline",0,["{name}"],[]]]"#);
    let read = r#"["push",["pipeline",0,["pki"]]]"#;
    for message in [&failing, read, r#"["pull",0]"#, r#"["push",["pipeline",0]]"#, &echo(r#""some text""#)] {
        let mut session = Session::new(main_object(), &limits, &Total::default());
        for _ in 0..2_000 {
            session.take(message).unwrap();
            go_on(&mut session).await;
            while session.answer(usize::MAX).is_some() {}
            assert!(session.kept() <= limits.kept_at_first + 2_000, "{message}: {}", session.kept());
        }
        session.take(r#"["push",["pipeline",0,["tokens"],["<jwt>"]]]"#).unwrap();
        session.run().await;
        for _ in 0..200 {
            session.take(&failing).unwrap();
        }
        assert!(session.kept() > limits.kept_at_first * 2, "{message}: {}", session.kept());
    }
}

/// Without a pause for an answer, while few run at a time.
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_at_once_are_answered() {
    let messages = (1..=1000)
        .flat_map(|id| [format!(r#"["push",["pipeline",0,["slow"],[5,{id}]]]"#), format!(r#"["pull",{id}]"#)])
        .collect::<Vec<_>>();
    let mut dialogue = Dialogue::new();
    dialogue.sends(&messages);
    let mut answers = Vec::new();
    for _ in 1..=1000 {
        answers.push(dialogue.hears().await.unwrap());
    }
    let expected = (1..=1000).map(|id| format!(r#"["resolve",{id},{id}]"#)).collect::<Vec<_>>();
    assert_eq!(answers, expected);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_than_may() {
    let limits = Limits { kept: 1_000_000, ..LIMITS };
    let mut session = Session::new(main_object(), &limits, &Total::default());
    session.take(r#"["push",["pipeline",0,["slow"],[5,{"x":1}]]]"#).unwrap();
    let mut taken = 1;
    while session.has_room() {
        session.take(r#"["push",["pipeline",0,["slow"],[["pipeline",1,["x"]],1]]]"#).unwrap();
        taken += 1;
    }
    assert_eq!(taken, LIMITS.entries);
    assert_eq!(session.running(), 1);
    while session.is_busy() {
        session.run().await;
        assert!(session.running() <= LIMITS.running);
    }
    assert!(session.has_room());
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_hold_a_bounded_number_of_octets() {
    let mut session = Session::new(main_object(), &LIMITS, &Total::default());
    session.take(r#"["push",["pipeline",0,["slow"],[5,1]]]"#).unwrap();
    let large = format!(r#"["push",["pipeline",0,["slow"],[["pipeline",1],"{}"]]]"#, "x".repeat(4000));
    let mut taken = 0;
    while session.has_room() {
        session.take(&large).unwrap();
        taken += 1;
    }
    assert_eq!(taken, LIMITS.kept / 4000);
}

#[tokio::test]
async fn a_batch_has_a_number_of_messages() {
    let mut messages = vec![echo("1"); LIMITS.batch - 1];
    messages.push(r#"["pull",1]"#.into());
    assert_eq!(
        batch(main_object(), &messages.join("\n"), &LIMITS, &Total::default()).await,
        r#"["resolve",1,[[1]]]"#
    );
    assert_eq!(
        batch(main_object(), &(messages.join("\n") + "\n"), &LIMITS, &Total::default()).await,
        r#"["resolve",1,[[1]]]"#
    );
    messages.push(r#"["pull",2]"#.into());
    assert_eq!(
        batch(main_object(), &messages.join("\n"), &LIMITS, &Total::default()).await,
        r#"["abort",["error","RangeError","A batch has at most 50 messages, and nothing of this one was done: send several."]]"#
    );
}

#[tokio::test]
async fn the_answers_of_a_batch_have_a_size() {
    let mut messages = vec![echo(&format!(r#""{}""#, "x".repeat(8000)))];
    for id in 1..=4 {
        messages.push(r#"["push",["pipeline",1,[]]]"#.to_owned());
        messages.push(format!(r#"["pull",{id}]"#));
    }
    let answers = batch(main_object(), &messages.join("\n"), &LIMITS, &Total::default()).await;
    assert!(answers.len() < LIMITS.answers + 500);
    let refused = r#"["error","RangeError","The answers of this batch are too large: ask in several."]"#;
    assert_eq!(answers.lines().filter(|answer| answer.contains(refused)).count(), 2);
    assert_eq!(answers.lines().count(), 4);
}

/// Limits of nothing stop nothing: one call at a time is always done.
#[tokio::test]
async fn the_smallest_limits_still_serve() {
    let limits = Limits { entries: 0, kept: 50, running: 0, ..LIMITS };
    let messages = [echo("1"), r#"["pull",1]"#.into(), echo("2"), r#"["pull",2]"#.into()].join("\n");
    assert_eq!(
        batch(main_object(), &messages, &limits, &Total::default()).await,
        "[\"resolve\",1,[[1]]]\n[\"resolve\",2,[[2]]]"
    );
}
