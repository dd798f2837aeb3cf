//! Clients of `/rpc` that show no good credential: what they can make the service hold, and whom they keep out.

use crate::{openings::resident, pki::Pki, rpc::Rpc};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::{io::Write as _, time::Duration};
use tungstenite::{Message, protocol::CloseFrame};

/// Sockets of strangers that the service has at most.
const MOST: usize = 128;

/// A frame's header with a mask that changes nothing (RFC 6455, 5.2), and so many octets of what it announces.
fn frame(first: u8, announced: usize, sent: usize) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend((announced as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(vec![b'x'; sent]);
    frame
}

/// Asks for what fails at length, reads nothing, and leaves a message in its middle.
fn be_hostile(socket: &mut Rpc) {
    let name = "x".repeat(1_000);
    let _ = socket.0.get_mut().set_write_timeout(Some(Duration::from_millis(200)));
    for _ in 0..150 {
        let call = format!(r#"["push",["pipeline",0,["{name}"],[]]]"#);
        if socket.0.send(Message::text(call)).is_err() {
            return;
        }
    }
    let stream = socket.0.get_mut();
    let _ = stream.write_all(&frame(0x01, 71 * 1024, 71 * 1024));
    let _ = stream.write_all(&frame(0x00, 72 * 1024, 71 * 1024));
}

#[test]
fn a_thousand_hostile_sockets_take_little_memory_and_keep_nobody_out() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let pki = Pki::dev();
    let mut known = Rpc::open(&pki.service);
    known.first_call("pki", &pki.token, "listDenied", &json!({}));
    let before = resident(pki.service.pid());
    let mut hostile = Vec::new();
    for _ in 0..1_000 {
        let mut socket = Rpc::open(&pki.service);
        be_hostile(&mut socket);
        hostile.push(socket);
    }
    let after = resident(pki.service.pid());
    println!("grew by {} MiB", after - before);
    assert!(after < before + 50, "{before} MiB, then {after} MiB");
    // Who has shown a credential stays, and who shows one at once comes in.
    assert_eq!(known.call(3, "listDenied", &json!({}))[0], "resolve");
    let mut another = Rpc::open(&pki.service);
    another.first_call("pki", &pki.token, "listDenied", &json!({}));
    drop(hostile);
    pki.still_works();
}

#[test]
fn the_stranger_that_makes_place_for_others_is_told_why() {
    let pki = Pki::dev();
    let mut first = Rpc::open(&pki.service);
    let mut known = Rpc::open(&pki.service);
    known.first_call("pki", &pki.token, "listDenied", &json!({}));
    let others: Vec<_> = (0..MOST).map(|_| Rpc::open(&pki.service)).collect();
    let Ok(Message::Close(Some(CloseFrame { code, reason }))) = first.0.read() else { panic!("no reason") };
    assert_eq!(u16::from(code), 1013);
    assert!(reason.as_str().starts_with("too many sockets without a good credential"), "{reason}");
    assert_eq!(known.call(3, "listDenied", &json!({}))[0], "resolve");
    drop(others);
}

/// Batches too are read before anybody knows whose they are.
#[test]
fn a_batch_that_is_given_nothing_is_answered_with_little() {
    let pki = Pki::dev();
    let failing = format!("[\"push\",[\"pipeline\",0,[\"{}\"],[]]]\n", "x".repeat(800));
    let mut batch = failing;
    for id in 2..=1_000 {
        batch.push_str(&format!("[\"push\",[\"pipeline\",1,[\"x\"]]]\n[\"pull\",{id}]\n"));
    }
    let answer = pki.service.http().request("POST", "/rpc", &[], batch.as_bytes()).unwrap();
    assert!(answer.text().len() < 40 * 1024, "{}", answer.text().len());
    let last = answer.text().lines().last().unwrap().to_owned();
    assert!(
        last.starts_with(r#"["abort",["error","RangeError","A batch that was given no object"#),
        "{last}"
    );
}
