//! Calls that take long or never come back.

use super::{ask, faults::Faulty, refusal};
use crate::pki::eventually;
use std::thread;

const CLIENTS: usize = 16;

#[test]
fn slow_signatures_delay_no_ca_with_its_key_elsewhere() {
    let faulty = Faulty::new();
    let pki = &faulty.pki;
    faulty.fault.set(&["C_Sign delay 200ms"]).unwrap();
    thread::scope(|scope| {
        let slow: Vec<_> =
            (0..CLIENTS).map(|n| scope.spawn(move || ask(pki, "node", &format!("n{n}")))).collect();
        for number in 0..CLIENTS {
            pki.issue("envoy/app", &format!("n{number}"));
        }
        for answer in slow {
            let answer = answer.join().unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
}

#[test]
fn calls_that_hang_end_their_requests_and_nothing_else() {
    let faulty = Faulty::new();
    let pki = &faulty.pki;
    faulty.fault.set(&["C_Sign hang"]).unwrap();
    // More than there are sessions.
    thread::scope(|scope| {
        let hanging: Vec<_> =
            (0..CLIENTS).map(|n| scope.spawn(move || ask(pki, "node", &format!("n{n}")))).collect();
        for number in 0..CLIENTS {
            pki.issue("envoy/app", &format!("n{number}"));
        }
        assert!(hanging.iter().all(|asked| !asked.is_finished()), "no signature was made so far");
        for asked in hanging {
            let (status, code, sentence) = refusal(&asked.join().unwrap());
            assert!([503, 504].contains(&status) && code.starts_with("key_store_"), "{status}: {sentence}");
        }
    });
    faulty.fault.set(&[]).unwrap();
    eventually("signatures again", || (ask(pki, "node", "n1").status == 200).then_some(()));
    for number in 0..CLIENTS {
        pki.issue("node", &format!("n{number}"));
    }
}

#[test]
fn a_service_ends_when_it_is_told_to_while_calls_hang() {
    let mut faulty = Faulty::new();
    faulty.fault.set(&["C_Sign hang"]).unwrap();
    let before = faulty.fault.counts("C_Sign").unwrap();
    thread::scope(|scope| {
        for number in 0..4 {
            let admin = faulty.pki.admin.clone();
            let body = serde_json::json!({"serviceType": "node", "instanceId": format!("n{number}")});
            // Whether an answer comes depends on which ends first.
            scope.spawn(move || drop(admin.post("/pki/keypair", &body)));
        }
        eventually("a call that hangs", || (faulty.fault.counts("C_Sign").unwrap() > before).then_some(()));
        let end = faulty.pki.service.stop().unwrap();
        assert!(end.success(), "{end}: {}", faulty.pki.service.log());
    });
}
