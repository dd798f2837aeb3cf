//! The end of the service: what was accepted is finished, and the next start goes on.

use crate::{
    deployment::{Deployment, Holder, until},
    inspect::facts,
};
use catalyst_rigs::{Service, http::Connection};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    sync::Mutex,
    thread,
    time::Duration,
};

#[test]
fn requests_in_flight_are_answered_and_recorded_before_the_service_ends() {
    let deployment = Deployment::dev();
    drop(deployment.initialized());
    for signal in [Signal::TERM, Signal::INT] {
        let (mut service, _client) = deployment.initialized();
        let holders: Vec<_> = (0..8).map(|n| Holder::new("node", &format!("n{n}.example.org"))).collect();
        let mut connections: Vec<_> =
            holders.iter().map(|holder| half_sent(&service, &deployment, holder)).collect();
        service.signal(signal).unwrap();
        service.wait_for("Stopping").unwrap();
        let serials: Vec<String> = holders
            .iter()
            .zip(&mut connections)
            .map(|(holder, connection)| rest_of(connection, holder))
            .collect();
        let end = service.wait(Duration::from_secs(30)).unwrap();
        assert_eq!(end.code(), Some(0), "{}", service.log());
        assert!(service.log_lines().iter().any(|line| line.message == "Stopped"));
        assert!(Connection::open(service.address()).is_err(), "somebody still listens");
        let facts = facts(&deployment.data_dir());
        assert!(serials.iter().all(|serial| facts.issued.contains_key(serial)), "{signal:?}");
    }
}

/// Sends the head and half of the body. The interim answer shows that the credential was accepted and the body is
/// being read.
fn half_sent(service: &Service, deployment: &Deployment, holder: &Holder) -> Connection {
    let body = holder.request.to_string();
    let mut connection = Connection::open(service.address()).unwrap();
    let head = format!(
        "POST /pki/csr/sign HTTP/1.1\r\nhost: ca\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        deployment.token().unwrap(),
        body.len()
    );
    let socket = connection.socket();
    socket.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    socket.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(&body.as_bytes()[..body.len() / 2]).unwrap();
    connection
}

/// Sends the rest, and reads the certificate's serial number from the answer.
fn rest_of(connection: &mut Connection, holder: &Holder) -> String {
    let body = holder.request.to_string();
    let socket = connection.socket();
    socket.write_all(&body.as_bytes()[body.len() / 2..]).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    json["serial"].as_str().unwrap().to_owned()
}

#[test]
fn a_stop_under_load_ends_well_and_loses_nothing() {
    let deployment = Deployment::dev();
    let (mut service, client) = deployment.initialized();
    let received = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let (client, received) = (&client, &received);
            let holder = Holder::new("orchestrator", &format!("node-{number}.example.org"));
            scope.spawn(move || {
                while let Ok(answer) = holder.ask(client) {
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
                    received.lock().unwrap().insert(text("serial"), text("certificatePem"));
                }
            });
        }
        until("certificates are issued", || (received.lock().unwrap().len() > 50).then_some(()));
        assert_eq!(service.stop().unwrap().code(), Some(0), "{}", service.log());
    });
    let received = received.into_inner().unwrap();
    let facts = facts(&deployment.data_dir());
    assert!(received.iter().all(|(serial, pem)| facts.issued.get(serial) == Some(pem)));
    // Folded into the file: whoever copies it has everything.
    assert!(!deployment.data_dir().join("certs.db-wal").exists());

    let (_service, client) = deployment.initialized();
    let status = until("all keys are open", || {
        Some(client.get("/pki/status").unwrap().json().unwrap())
            .filter(|status| status["status"] == "healthy")
    });
    assert_eq!(status["activeCertCount"], facts.issued.len());
}

#[test]
fn a_stop_at_the_first_word_of_the_service_is_an_orderly_one() {
    let deployment = Deployment::dev();
    for signal in [Signal::TERM, Signal::INT, Signal::TERM, Signal::INT] {
        let mut service = deployment.start();
        service.signal(signal).unwrap();
        let end = service.wait(Duration::from_secs(30)).unwrap();
        assert_eq!(end.code(), Some(0), "{}", service.log());
    }
    // What the first start was making when it was stopped is finished by the next one.
    let (_service, client) = deployment.initialized();
    assert_eq!(client.get("/pki/ca/bundle").unwrap().text().matches("BEGIN CERTIFICATE").count(), 3);
}
