//! Two clients at once: of tokens, denials and revocations there is one truth.

use crate::pki::{Pki, ok, refused, spiffe_id};
use catalyst_rigs::http::{Client, Connection};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

/// The answers to the same question of so many clients at once.
fn all_at_once<T: Send>(clients: usize, ask: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(clients);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..clients)
            .map(|client| {
                let (ask, barrier) = (&ask, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    ask(client)
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

fn whole(pki: &Pki) {
    assert_eq!(ok(&pki.get("/pki/audit/verify"))["intact"], true);
}

#[test]
fn tokens_that_are_made_at_once_are_different_and_all_good() {
    let pki = Pki::dev();
    let made = all_at_once(8, |client| {
        (0..10)
            .map(|n| {
                let asked = crate::tokens::asking(&format!("{client}-{n}"), "ADMIN", &json!({}));
                ok(&pki.post("/auth/tokens", &asked))
            })
            .collect::<Vec<Value>>()
    });
    let made: Vec<Value> = made.into_iter().flatten().collect();
    let names: BTreeSet<&str> = made.iter().map(|token| token["jti"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 80);
    for token in &made {
        let client = pki.service.http().with_token(token["token"].as_str().unwrap());
        ok(&client.get("/pki/status").unwrap());
    }
    let records = ok(&pki.get("/pki/audit?action=token.recorded&actor=token:system:x"));
    assert_eq!(records["records"], json!([]));
    whole(&pki);
}

#[test]
fn of_revocations_at_once_one_counts() {
    let pki = Pki::dev();
    for round in 0..10 {
        let san = format!("laptop-{round}");
        let token = pki.mint("a", "ADMIN", &json!({"sans": [san]}));
        let counts = all_at_once(4, |_| {
            ok(&pki.post("/auth/tokens/revoke", &json!({"san": san})))["revoked"].as_u64().unwrap()
        });
        assert_eq!(counts.iter().sum::<u64>(), 1, "{counts:?}");
        let client = pki.service.http().with_token(&token);
        refused(&client.get("/pki/status").unwrap(), 401, "credential_revoked");
    }
    let records = ok(&pki.get("/pki/audit?action=token.revoked"));
    assert_eq!(records["records"].as_array().unwrap().len(), 10);
    whole(&pki);
}

#[test]
fn denials_at_once_are_one_denial_and_lifting_it_once_is_enough() {
    let pki = Pki::dev();
    let issued = pki.issue("node", "n1");
    let id = spiffe_id("node", "n1");
    all_at_once(6, |_| pki.deny(&id, false));
    assert_eq!(ok(&pki.get("/pki/identities/denied")).as_array().unwrap().len(), 1);
    assert_eq!(pki.status_of(issued.serial()), "held");
    let allowed = all_at_once(6, |_| pki.post("/pki/identities/allow", &json!({"spiffeId": id})).status);
    // Who comes second finds nothing to lift.
    assert_eq!(allowed.iter().filter(|status| **status == 200).count(), 1, "{allowed:?}");
    assert!(allowed.iter().all(|status| matches!(status, 200 | 404)), "{allowed:?}");
    assert_eq!(pki.status_of(issued.serial()), "active");
    whole(&pki);
}

#[test]
fn a_rotation_loses_no_token_that_is_made_meanwhile() {
    let pki = Pki::dev();
    let done = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        let minting: Vec<_> = (0..3)
            .map(|client| {
                let (pki, done) = (&pki, &done);
                scope.spawn(move || {
                    let mut made = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        made.push(pki.mint(&format!("a{client}"), "ADMIN", &json!({})));
                    }
                    made
                })
            })
            .collect();
        for _ in 0..3 {
            ok(&pki.admin.request("POST", "/auth/keys/rotate", &[], b"").unwrap());
        }
        done.store(true, Ordering::Relaxed);
        minting.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(!made.is_empty());
    for token in &made {
        ok(&pki.service.http().with_token(token).get("/pki/status").unwrap());
    }
    whole(&pki);
}

/// Uses a token on a connection of its own until it is refused, and says whether it was ever taken in a request that
/// began after `dead` was said.
fn use_it(pki: &Pki, token: &str, dead: &AtomicBool, used: &AtomicUsize) -> bool {
    let mut connection = Connection::open(pki.service.address()).unwrap();
    let bearer = format!("Bearer {token}");
    loop {
        let was_dead = dead.load(Ordering::SeqCst);
        let answer = connection.request("GET", "/auth/keys", &[("authorization", &bearer)], b"").unwrap();
        match answer.status {
            200 if was_dead => return true,
            200 => _ = used.fetch_add(1, Ordering::SeqCst),
            _ => {
                refused(&answer, 401, "credential_revoked");
                return false;
            }
        }
    }
}

#[test]
fn a_token_that_is_used_while_it_is_revoked_never_works_afterwards() {
    const ROUNDS: usize = 200;
    let pki = Pki::dev();
    let revoker: Client = pki.admin.clone();
    let used = AtomicUsize::new(0);
    for round in 0..ROUNDS {
        let minted = ok(&pki.post("/auth/tokens", &crate::tokens::asking("a", "ADMIN", &json!({}))));
        let (token, jti) = (minted["token"].as_str().unwrap(), &minted["jti"]);
        let dead = AtomicBool::new(false);
        let before = used.load(Ordering::SeqCst);
        let late = thread::scope(|scope| {
            let using: Vec<_> = (0..3).map(|_| scope.spawn(|| use_it(&pki, token, &dead, &used))).collect();
            while used.load(Ordering::SeqCst) < before + 3 {
                thread::yield_now();
            }
            let answer = revoker.post("/auth/tokens/revoke", &json!({"jti": jti})).unwrap();
            // From here on whoever begins a request must be refused.
            dead.store(true, Ordering::SeqCst);
            assert_eq!(ok(&answer)["revoked"], 1);
            using.into_iter().any(|one| one.join().unwrap())
        });
        assert!(!late, "round {round}: a revoked token was taken");
    }
}
