//! SIGKILL at random moments: what was answered is there afterwards, and nothing is there by half.

use crate::{
    deployment::{Deployment, Holder},
    inspect::{Facts, KEY_FILES, KEYS, facts, key_files},
};
use catalyst_rigs::{
    Seeded,
    http::{Client, Connection},
};
use std::{
    collections::BTreeMap,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

const KILLS: usize = 50;

/// Whether an identity is denied, as far as a client was told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Denied,
    Allowed,
    /// The answer never came.
    Nothing,
}

/// What clients were told in all lives of the service.
struct Memory {
    certificates: Mutex<BTreeMap<String, String>>,
    told: Mutex<Told>,
    crl_number: Mutex<i64>,
    bundle: String,
    ended: AtomicBool,
}

#[test]
fn nothing_that_was_answered_is_lost_when_the_service_is_killed_under_load() {
    let mut random = Seeded::new();
    let deployment = Deployment::dev();
    let (mut service, client) = deployment.initialized();
    let memory = Memory {
        certificates: Mutex::default(),
        told: Mutex::new(Told::Allowed),
        crl_number: Mutex::new(0),
        bundle: client.get("/pki/ca/bundle").unwrap().text(),
        ended: AtomicBool::new(false),
    };
    let token = deployment.token().unwrap();
    service.kill().unwrap();
    let mut before = facts(&deployment.data_dir());
    let holders: Vec<_> = ["orchestrator", "gateway", "envoy/app", "envoy/transport"]
        .into_iter()
        .enumerate()
        .map(|(number, service_type)| Holder::new(service_type, &format!("node-{number}.example.org")))
        .collect();
    let gone = Holder::new("gateway", "gone.example.org");

    for round in 0..KILLS {
        let mut service = deployment.start();
        memory.ended.store(false, Relaxed);
        let known = memory.certificates.lock().unwrap().len();
        let address = service.address();
        let client = service.http().with_token(&token);
        thread::scope(|scope| {
            for holder in &holders {
                scope.spawn(|| memory.collect(&client, holder));
            }
            scope.spawn(|| memory.deny_and_allow(&client, &holders[1]));
            scope.spawn(|| memory.watch(&client));
            scope.spawn(|| memory.hang_up(address, &token, &gone));
            // Every third life ends while keys are being opened or soon after, the others in full swing.
            if round % 3 != 0 {
                memory.wait_for_more_than(known);
            }
            thread::sleep(random.duration(Duration::from_millis(if round % 3 == 0 { 400 } else { 250 })));
            service.kill().unwrap();
            memory.ended.store(true, Relaxed);
        });
        let now = facts(&deployment.data_dir());
        memory.compare(&before, &now, &holders[1]);
        assert_eq!(key_files(&deployment.data_dir()), KEY_FILES);
        before = now;
    }

    let (mut service, client) = deployment.initialized();
    assert_eq!(holders[0].ask(&client).unwrap().status, 200);
    assert_eq!(service.stop().unwrap().code(), Some(0), "{}", service.log());
    memory.compare(&before, &facts(&deployment.data_dir()), &holders[1]);
    let received = memory.certificates.lock().unwrap().len();
    println!("{received} certificates received in {KILLS} lives");
    assert!(received > KILLS);
}

impl Memory {
    fn ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    fn pause(&self) {
        thread::sleep(Duration::from_millis(2));
    }

    fn collect(&self, client: &Client, holder: &Holder) {
        while !self.ended() {
            match holder.ask(client) {
                Ok(answer) if answer.status == 200 => {
                    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
                    let twice =
                        self.certificates.lock().unwrap().insert(text("serial"), text("certificatePem"));
                    assert_eq!(twice, None, "a serial number was given twice");
                }
                Ok(answer) => {
                    assert!(
                        ["token_key_unavailable", "identity_denied"].contains(&answer.code()),
                        "{}",
                        answer.body
                    );
                    self.pause();
                }
                Err(_) => self.pause(),
            }
        }
    }

    fn deny_and_allow(&self, client: &Client, holder: &Holder) {
        while !self.ended() {
            let denying = *self.told.lock().unwrap() != Told::Denied;
            *self.told.lock().unwrap() = Told::Nothing;
            let answer = if denying { holder.deny(client) } else { holder.allow(client) };
            match answer.map(|answer| (answer.status, answer.body)) {
                Ok((200, _)) => {
                    *self.told.lock().unwrap() = if denying { Told::Denied } else { Told::Allowed };
                    self.see_crl(client);
                }
                // Before the credential was checked nothing has happened; and `allow` may find that the denial that
                // was never answered was never made.
                Ok((404 | 503, _)) => *self.told.lock().unwrap() = Told::Allowed,
                Ok((status, body)) => panic!("{status}: {body}"),
                Err(_) => self.pause(),
            }
        }
    }

    /// The number that a CRL is served under never falls, over all lives.
    fn see_crl(&self, client: &Client) {
        let Ok(crl) = client.get("/pki/crl/services") else { return };
        let number = crl.header("etag").unwrap().trim_matches('"').parse().unwrap();
        let mut last = self.crl_number.lock().unwrap();
        assert!(number >= *last, "CRL {number} after {last}");
        *last = number;
    }

    fn watch(&self, client: &Client) {
        while !self.ended() {
            if let Ok(bundle) = client.get("/pki/ca/bundle") {
                assert_eq!((bundle.status, bundle.text()), (200, self.bundle.clone()));
            }
            self.pause();
        }
    }

    /// Sends a whole request and goes away.
    fn hang_up(&self, address: SocketAddr, token: &str, holder: &Holder) {
        let body = holder.request.to_string();
        let request = format!(
            "POST /pki/csr/sign HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        while !self.ended() {
            if let Ok(mut connection) = Connection::open(address) {
                // The service may be dead by now.
                let _ = connection.socket().write_all(request.as_bytes());
            }
            self.pause();
        }
    }

    fn wait_for_more_than(&self, known: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.certificates.lock().unwrap().len() == known {
            assert!(Instant::now() < deadline, "no certificate was issued");
            self.pause();
        }
    }

    fn compare(&self, before: &Facts, now: &Facts, denied: &Holder) {
        for (serial, pem) in self.certificates.lock().unwrap().iter() {
            assert_eq!(now.issued.get(serial), Some(pem), "{serial} was handed out");
        }
        for serial in before.issued.keys() {
            assert!(now.issued.contains_key(serial), "{serial} is gone");
        }
        let is_denied = now.denied.contains(&denied.spiffe_id);
        match *self.told.lock().unwrap() {
            Told::Denied => assert!(is_denied),
            Told::Allowed => assert!(!is_denied),
            Told::Nothing => {}
        }
        assert_eq!(now.keys, KEYS);
        assert_eq!((&now.cas, &now.deployment), (&before.cas, &before.deployment));
        for (role, numbers) in &now.crl_numbers {
            let earlier = before.crl_numbers[role];
            assert!(
                numbers.0 >= earlier.0 && numbers.1 >= earlier.1,
                "{role}: {numbers:?} after {earlier:?}"
            );
            assert!(numbers.1 <= numbers.0, "{role}: published before it was reserved");
        }
        assert!(now.crl_numbers["services"].1 >= *self.crl_number.lock().unwrap());
    }
}
