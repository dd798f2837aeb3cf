//! What no well-behaved client sends to `/rpc`: every piece of it is answered, none costs memory.

use crate::{
    openings::resident,
    pki::{Pki, refused},
    rpc::Rpc,
};
use serde_json::Value;
use std::io::Write as _;
use tungstenite::Message;

/// More than any message may have.
const TOO_LONG: usize = 128 * 1024;

fn malformed() -> Vec<String> {
    let mut messages: Vec<String> = [
        "",
        " ",
        "{",
        "nonsense",
        "null",
        "17",
        "{}",
        "[]",
        "[1]",
        "[null]",
        "[[]]",
        r#"["unknown"]"#,
        r#"["push"]"#,
        r#"["push",["pipeline"]]"#,
        r#"["push",["pipeline","x",["pki"],[]]]"#,
        r#"["push",["pipeline",99,["pki"],["x"]]]"#,
        r#"["push",["pipeline",0,["pki",[]],["x"]]]"#,
        r#"["push",["pipeline",-7,[],[]]]"#,
        r#"["push",["pipeline",0,["pki"],"x"]]"#,
        r#"["push",["pipeline",0,["__proto__"],["x"]]]"#,
        r#"["push",["pipeline",0,["constructor"],["x"]]]"#,
        r#"["push",["pipeline",0,["pki","constructor"],["x"]]]"#,
        r#"["push",["pipeline",0,[],[]]]"#,
        r#"["push",["pipeline",0.5,[],[]]]"#,
        r#"["push",["remap",0,["pki"],[],[]]]"#,
        r#"["push",["import",5]]"#,
        r#"["push",["unknown",1]]"#,
        r#"["push",["bytes","!"]]"#,
        r#"["push",["date","x"]]"#,
        r#"["push",["bigint","x"]]"#,
        r#"["push",["error"]]"#,
        r#"["push",["export"]]"#,
        r#"["push",["promise",1]]"#,
        r#"["pull"]"#,
        r#"["pull",5]"#,
        r#"["pull",-5]"#,
        r#"["pull","1"]"#,
        r#"["pull",1e400]"#,
        r#"["release"]"#,
        r#"["release",0,1]"#,
        r#"["release",1,-1]"#,
        r#"["release",1,9007199254740993]"#,
        r#"["release",44,1]"#,
        r#"["resolve",17,1]"#,
        r#"["reject",17]"#,
        r#"["pipe",1]"#,
        r#"["stream",1]"#,
        "[\"push\",[\"pipeline\",0,[\"pki\"],[\"\u{0}\"]]]",
    ]
    .map(str::to_owned)
    .to_vec();
    messages.push("[".repeat(10_000));
    messages.push(format!("[\"push\",{}{}]", "[".repeat(2_000), "]".repeat(2_000)));
    messages.push(format!("[\"push\",{}1{}]", r#"{"a":"#.repeat(2_000), "}".repeat(2_000)));
    messages.push(format!("[\"pull\",{}]", "9".repeat(1_000)));
    messages.push("x".repeat(TOO_LONG));
    messages
}

/// Whether a message says that something went wrong.
fn is_refusal(message: &Value) -> bool {
    message[0] == "abort" || message[0] == "reject" || message[2]["error"] == "Invalid token"
}

#[test]
fn malformed_messages_end_in_a_reject_or_an_abort() {
    let pki = Pki::dev();
    for message in malformed() {
        let shown: String = message.chars().take(60).collect();
        let mut socket = Rpc::open(&pki.service);
        socket.send(&message);
        // Whoever is asked for what has failed says so; a session that is over has said so already.
        let _ = socket.0.send(Message::text(r#"["pull",1]"#));
        let answer = socket.answer().unwrap_or_else(|| panic!("{shown}: closed without a word"));
        assert!(is_refusal(&answer), "{shown}: {answer}");
        if answer[0] == "abort" {
            assert_eq!(socket.hear(), None, "{shown}");
        }
    }
    pki.still_works();
}

#[test]
fn malformed_batches_are_answered_in_kind() {
    let pki = Pki::dev();
    let post = |body: &[u8]| pki.service.http().request("POST", "/rpc", &[], body).unwrap();
    for message in malformed() {
        let shown: String = message.chars().take(60).collect();
        let answer = post(format!("{message}\n[\"pull\",1]").as_bytes());
        assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
        let last =
            answer.text().lines().last().map(str::to_owned).unwrap_or_else(|| panic!("{shown}: nothing"));
        assert!(is_refusal(&serde_json::from_str(&last).unwrap()), "{shown}: {last}");
    }
    let empty = post(b"");
    assert_eq!((empty.status, empty.text().as_str()), (200, ""));
    refused(&post(&vec![b'x'; 300 * 1024]), 413, "body_too_large");
    refused(&post(b"\xff\xfe"), 400, "malformed_request");
    let many = "[\"pull\",1]\n".repeat(10_000);
    let answer = post(many.as_bytes());
    assert!(answer.text().starts_with(r#"["abort""#), "{}", answer.text());
    pki.still_works();
}

#[test]
fn frames_that_are_no_text_or_too_long_end_in_an_abort() {
    let pki = Pki::dev();
    let mut binary = Rpc::open(&pki.service);
    binary.0.send(Message::binary(b"[\"pull\",0]".to_vec())).unwrap();
    assert_eq!(binary.abort(), "a message is one text frame: binary frames are not taken");
    for length in [TOO_LONG, 4 * 1024 * 1024] {
        let mut long = Rpc::open(&pki.service);
        // It may be told before it has sent all.
        let _ = long.0.send(Message::text("x".repeat(length)));
        let reason = long.abort();
        assert!(reason.contains("too long"), "{reason}");
    }
    // Not masked, of a reserved kind, with a reserved bit, text that is no UTF-8.
    for frame in [&b"\x81\x02[]"[..], b"\x83\x80\0\0\0\0", b"\xf1\x80\0\0\0\0", b"\x81\x82\0\0\0\0\xff\xfe"] {
        let mut socket = Rpc::open(&pki.service);
        socket.0.get_mut().write_all(frame).unwrap();
        socket.abort();
    }
    // A message in pieces is one message.
    let mut pieces = Rpc::open(&pki.service);
    let stream = pieces.0.get_mut();
    stream.write_all(b"\x01\x85\0\0\0\0[\"pul").unwrap();
    stream.write_all(b"\x80\x86\0\0\0\0l\",77]").unwrap();
    assert_eq!(pieces.hear().unwrap()[0], "abort");
    pki.still_works();
}

#[test]
fn what_goes_wrong_leaves_nothing_behind() {
    let pki = Pki::dev();
    let malformed = malformed();
    let round = || {
        for message in &malformed {
            let mut socket = Rpc::open(&pki.service);
            let _ = socket.0.send(Message::text(message.as_str()));
            let _ = socket.0.send(Message::text(r#"["pull",1]"#));
            let _ = socket.answer();
        }
        // Calls that nobody asks the answers of, on one socket.
        let mut socket = Rpc::open(&pki.service);
        for _ in 0..5_000 {
            socket.send(r#"["push",["pipeline",0,["pki"],["garbage"]]]"#);
        }
        socket.send(r#"["pull",5000]"#);
        // After some hundred failures the sentence is another.
        assert!(socket.hear().unwrap()[2]["error"].is_string());
    };
    round();
    let before = resident(pki.service.pid());
    for _ in 0..6 {
        round();
    }
    let after = resident(pki.service.pid());
    assert!(after < before + 16, "{before} MiB, then {after} MiB");
    pki.still_works();
}
