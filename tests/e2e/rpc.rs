//! A client of `/rpc` that sends what it is told, and its dealings with the service: who may come, and how it ends.

use crate::pki::{Pki, ok, refused};
use catalyst_rigs::{Service, http::Connection};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};
use tungstenite::{
    HandshakeError, Message, WebSocket, client::IntoClientRequest as _, handshake::client::Response,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A WebSocket at `/rpc`.
pub(crate) struct Rpc<S = TcpStream>(pub(crate) WebSocket<S>);

impl Rpc {
    pub(crate) fn open(service: &Service) -> Self {
        Self::with_headers(service, &[]).unwrap()
    }

    /// The same with further headers; the error is the status and the body that refused it.
    pub(crate) fn with_headers(service: &Service, headers: &[(&str, &str)]) -> Result<Self, (u16, Value)> {
        let stream = TcpStream::connect(service.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, headers)
    }
}

impl<S: Read + Write> Rpc<S> {
    /// Opens it over a connection.
    pub(crate) fn over(stream: S, headers: &[(&str, &str)]) -> Result<Self, (u16, Value)> {
        let mut request = "ws://localhost/rpc".into_client_request().unwrap();
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(refusal(&answer)),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn send(&mut self, message: &str) {
        self.0.send(Message::text(message)).unwrap();
    }

    /// The next message; `None` once the socket was closed in due form.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(text.as_str()).unwrap()),
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return None,
                Ok(_) => {}
                Err(error) => panic!("the connection was dropped without a word: {error}"),
            }
        }
    }

    /// The next message that answers something: objects that came along are given back before.
    pub(crate) fn answer(&mut self) -> Option<Value> {
        loop {
            let message = self.hear()?;
            if message[0] != "release" {
                return Some(message);
            }
        }
    }

    /// What the service says at last, which is why; then the socket is closed.
    #[track_caller]
    pub(crate) fn abort(&mut self) -> String {
        let message = self.hear().unwrap();
        assert_eq!(message[0], "abort", "{message}");
        assert_eq!(self.hear(), None);
        message[1][2].as_str().unwrap_or_else(|| panic!("no reason: {message}")).to_owned()
    }

    /// Calls a method of an entry point, as the first calls of a session.
    #[track_caller]
    pub(crate) fn first_call(&mut self, entry: &str, token: &str, method: &str, argument: &Value) -> Value {
        self.send(&json!(["push", ["pipeline", 0, [entry], [token]]]).to_string());
        self.send(&json!(["push", ["pipeline", 1, [method], [argument]]]).to_string());
        self.pull(2)
    }

    /// Calls it once more; `id` is the call's number.
    #[track_caller]
    pub(crate) fn call(&mut self, id: u32, method: &str, argument: &Value) -> Value {
        self.send(&json!(["push", ["pipeline", 1, [method], [argument]]]).to_string());
        self.pull(id)
    }

    #[track_caller]
    fn pull(&mut self, id: u32) -> Value {
        self.send(&json!(["pull", id]).to_string());
        let answer = self.hear().unwrap();
        assert_eq!(answer[1], id, "{answer}");
        answer
    }
}

fn refusal(answer: &Response) -> (u16, Value) {
    let body = answer.body().as_deref().unwrap_or_default();
    (answer.status().as_u16(), serde_json::from_slice(body).unwrap_or_default())
}

#[test]
fn a_page_opens_no_socket_and_sends_no_batch_unless_the_operator_names_its_origin() {
    const CONSOLE: &str = "https://console.example.org";
    let pki = Pki::dev_with(|launch| launch.env("CATALYST_PKI_ALLOWED_ORIGINS", CONSOLE));
    let post = |origin: &str| {
        let batch = r#"["push",["pipeline",0,["pki"],["x"]]]"#.to_owned() + "\n[\"pull\",1]";
        let mut connection = Connection::open(pki.service.address()).unwrap();
        connection.request("POST", "/rpc", &[("origin", origin)], batch.as_bytes()).unwrap()
    };
    for origin in [
        "https://evil.example",
        "null",
        "https://console.example.org.evil.example",
        "http://console.example.org",
    ] {
        let (status, body) = Rpc::with_headers(&pki.service, &[("origin", origin)]).err().unwrap();
        assert_eq!((status, &body["code"]), (403, &json!("origin_refused")), "{origin}");
        refused(&post(origin), 403, "origin_refused");
    }
    let mut allowed = Rpc::with_headers(&pki.service, &[("origin", CONSOLE)]).unwrap();
    let answer = allowed.first_call("pki", &pki.token, "listDenied", &json!({}));
    assert_eq!(answer, json!(["resolve", 2, [[]]]));
    assert_eq!(post(CONSOLE).text(), r#"["resolve",1,{"error":"Invalid token"}]"#);
    let forwarded = Rpc::with_headers(&pki.service, &[("x-forwarded-client-cert", "Hash=x")]).err().unwrap();
    assert_eq!((forwarded.0, &forwarded.1["code"]), (400, &json!("forwarded_certificate_refused")));
}

#[test]
fn what_is_no_websocket_is_told_what_would_be() {
    let pki = Pki::dev_with(|launch| launch.env("CATALYST_PKI_PUBLIC_LISTEN", "127.0.0.1:0"));
    let get = pki.service.http().get("/rpc").unwrap();
    let sentence = refused(&get, 426, "websocket_expected");
    assert!(sentence.contains("WebSocket") && sentence.contains("POST"), "{sentence}");
    assert_eq!(get.header("upgrade"), Some("websocket"));
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = pki.service.http().request(method, "/rpc", &[], b"").unwrap();
        refused(&answer, 405, "method_not_allowed");
    }
    let (status, body) = Rpc::with_headers(&pki.service, &[("sec-websocket-version", "8")]).err().unwrap();
    assert_eq!((status, &body["code"]), (426, &json!("websocket_expected")));
    // The second listener is for public reads alone.
    let public = pki.logged("Listening for public reads", "address");
    let address = public.property("address").unwrap().parse().unwrap();
    let mut connection = Connection::open(address).unwrap();
    refused(&connection.request("GET", "/rpc", &[], b"").unwrap(), 404, "not_found");
    refused(&connection.request("POST", "/rpc", &[], b"x").unwrap(), 404, "not_found");
}

#[test]
fn a_stop_is_told_on_every_socket_and_waits_for_calls() {
    let mut pki = Pki::dev();
    let mut idle: Vec<_> = (0..20).map(|_| Rpc::open(&pki.service)).collect();
    for socket in &mut idle[..10] {
        socket.first_call("pki", &pki.token, "listDenied", &json!({}));
    }
    let csr = crate::tokens::csr("node", "last");
    let mut busy = Rpc::open(&pki.service);
    busy.first_call("pki", &pki.token, "listDenied", &json!({}));
    let argument = json!({"csrPem": csr, "serviceType": "node", "instanceId": "last"});
    busy.send(&json!(["push", ["pipeline", 1, ["signCsr"], [argument]]]).to_string());
    busy.send(r#"["pull",3]"#);
    let start = Instant::now();
    pki.service.signal(rustix::process::Signal::TERM).unwrap();
    assert_eq!(busy.hear().unwrap()[2]["success"], true);
    assert_eq!(busy.abort(), "the service is stopping");
    for socket in &mut idle {
        assert_eq!(socket.abort(), "the service is stopping");
    }
    let end = pki.service.wait(PATIENCE).unwrap();
    assert_eq!(end.code(), Some(0), "{}", pki.service.log());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(!pki.service.log().contains("Connections cut off"));
}

#[test]
fn failures_on_sockets_and_in_batches_are_counted_as_everywhere() {
    let pki = Pki::dev();
    let mut socket = Rpc::open(&pki.service);
    let mut enter = |id: u32, token: &str| {
        socket.send(&json!(["push", ["pipeline", 0, ["pki"], [token]]]).to_string());
        let answer = socket.pull(id);
        socket.send(&json!(["release", id, 1]).to_string());
        answer[2].clone()
    };
    let first = enter(1, "garbage");
    assert_eq!(first, json!({"error": "Invalid token"}));
    let waits = (2..=700).map(|id| enter(id, "garbage")).find(|answer| *answer != first).unwrap();
    let sentence = "too many credentials from this address were not taken: try again later, with a good one";
    assert_eq!(waits, json!({"error": sentence}));
    // A good one is taken all the same.
    assert!(enter(602, &pki.token)["getStatus"].is_array());
    let lines = pki.service.log_lines();
    let failures = lines.iter().filter(|line| line.message == "Authentication failed").count();
    assert!((1..=10).contains(&failures), "{failures}");
}

/// A look at what a credential may do is no attempt to do it.
#[test]
fn what_nobody_was_refused_is_in_no_record() {
    let pki = Pki::dev();
    let user = pki.mint("user", "USER", &json!({}));
    for token in [&pki.token, &user] {
        let mut socket = Rpc::open(&pki.service);
        socket.first_call("pki", token, "listDenied", &json!({}));
    }
    let mut pki = pki;
    pki.service.stop().unwrap();
    let launch = crate::pki::launch_in(pki.service.data_dir());
    let again = Pki::start(launch.arg("--dev"));
    let denials = ok(&again.get("/pki/audit?action=policy.denied"));
    let denials = denials["records"].as_array().unwrap();
    assert_eq!(denials.len(), 1, "{denials:?}");
    assert_eq!(denials[0]["detail"], r#"{"action":"CA_MANAGE","count":1}"#);
}
