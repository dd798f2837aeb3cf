//! Clients of `/rpc` with a good credential that ask for much and read nothing.

use crate::{openings::resident, pki::Pki, rpc::Rpc};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Sockets that read nothing, and the lists that each asks for.
const DEAF: usize = 40;
const LISTS: usize = 60;

/// Tokens whose list has some two megabytes.
fn fill(pki: &Pki) {
    let sans: Vec<_> = (0..90).map(|n| format!("{n}.{}.example.org", "x".repeat(60))).collect();
    for n in 0..200 {
        pki.mint(&format!("t-{n}"), "USER", &json!({"sans": sans}));
    }
}

fn be_deaf(pki: &Pki) -> Rpc {
    let mut socket = Rpc::open(&pki.service);
    socket.send(&json!(["push", ["pipeline", 0, ["tokens"], [pki.token]]]).to_string());
    for id in 2..LISTS + 2 {
        socket.send(r#"["push",["pipeline",1,["list"],[]]]"#);
        socket.send(&json!(["pull", id]).to_string());
    }
    socket
}

#[test]
fn sockets_that_read_nothing_take_little_memory_and_keep_nobody_waiting() {
    let pki = Pki::dev();
    fill(&pki);
    let mut known = Rpc::open(&pki.service);
    known.first_call("pki", &pki.token, "getStatus", &Value::Null);
    let before = resident(pki.service.pid());
    let deaf: Vec<_> = (0..DEAF).map(|_| be_deaf(&pki)).collect();
    let (start, mut most, mut longest, mut id) = (Instant::now(), before, Duration::ZERO, 2);
    while start.elapsed() < Duration::from_secs(12) {
        id += 1;
        let asked = Instant::now();
        assert_eq!(known.call(id, "getStatus", &Value::Null)[0], "resolve");
        longest = longest.max(asked.elapsed());
        most = most.max(resident(pki.service.pid()));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("grew by {} MiB; the longest of {id} calls took {longest:?}", most - before);
    assert!(most < before + 400, "{before} MiB, then {most} MiB");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    drop(deaf);
    // What they left unread is let go, and lists are answered again.
    let mut another = Rpc::open(&pki.service);
    let list = another.first_call("tokens", &pki.token, "list", &json!({"limit": 3}));
    assert_eq!(list[2][0].as_array().unwrap().len(), 3, "{list}");
    pki.still_works();
}
