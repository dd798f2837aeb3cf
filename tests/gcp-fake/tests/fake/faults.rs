//! Calls that go wrong on their way.

use crate::program::{plant, sign, status, when_signing, with_key};
use catalyst_rigs::{
    RigError,
    gcp::{
        Effect, FakeKms, On, Refusal, When,
        api::{Algorithm, Code, Method},
    },
    http::Connection,
};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::Shutdown,
    time::Duration,
};

const KEY: Algorithm = Algorithm::EcSignP256Sha256;

#[test]
fn a_refused_call_is_not_done_and_the_next_one_is() {
    let (fake, version) = with_key(KEY);
    let refusal = Refusal { code: Code::ResourceExhausted, retry_delay: Some(Duration::from_millis(1500)) };
    when_signing(&fake, When::First(1), Effect::Refuse(refusal));
    let answer = sign(&fake, &version).unwrap();
    assert_eq!((answer.status, status(&answer).as_str()), (429, "RESOURCE_EXHAUSTED"));
    assert_eq!(answer.json().unwrap()["error"]["details"][0]["retryDelay"], "1.5s");
    assert_eq!(status(&sign(&fake, &version).unwrap()), "OK");
    let calls = fake.calls().unwrap();
    assert_eq!(calls.iter().map(|call| call.acted).collect::<Vec<_>>(), [false, true]);
    assert_eq!((calls[0].code, calls[1].code), (Some(Code::ResourceExhausted), None));
    assert_eq!((calls[0].method, &calls[0].resource), (Method::AsymmetricSign, &version));
}

#[test]
fn a_denial_names_permission_and_resource() {
    let (fake, version) = with_key(KEY);
    let on = On { permission: Some("cloudkms.cryptoKeyVersions.useToSign".into()), ..On::default() };
    fake.add(on, When::Always, Effect::Refuse(Code::PermissionDenied.into())).unwrap();
    let error = sign(&fake, &version).unwrap().json().unwrap()["error"].take();
    let key = version.strip_suffix("/cryptoKeyVersions/1").unwrap();
    let named = &error["details"][0]["metadata"];
    assert_eq!((error["code"].as_u64(), named["resource"].as_str()), (Some(403), Some(key)));
    assert_eq!(named["permission"], "cloudkms.cryptoKeyVersions.useToSign");
}

#[test]
fn a_rule_is_for_one_key_where_it_names_one() {
    let (fake, version) = with_key(KEY);
    let other = plant(&fake, "k-2", KEY).unwrap();
    let resource = version.strip_suffix("/cryptoKeyVersions/1").map(str::to_owned);
    fake.add(On { resource, ..On::default() }, When::Nth(2), Effect::Refuse(Code::Internal.into())).unwrap();
    let statuses: Vec<_> =
        [&version, &other, &version, &version].map(|version| status(&sign(&fake, version).unwrap())).into();
    assert_eq!(statuses, ["OK", "OK", "INTERNAL", "OK"]);
    fake.clear().unwrap();
}

#[test]
fn an_answer_is_lost_after_the_call_was_done() {
    let (fake, version) = with_key(KEY);
    when_signing(&fake, When::First(1), Effect::LoseAnswer);
    when_signing(&fake, When::Nth(2), Effect::RefuseAfterwards(Code::DeadlineExceeded.into()));
    let Err(RigError::Io(error)) = sign(&fake, &version) else { panic!("an answer came") };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(status(&sign(&fake, &version).unwrap()), "DEADLINE_EXCEEDED");
    assert!(fake.calls().unwrap().iter().all(|call| call.acted && call.code.is_none()));
}

#[test]
fn a_connection_is_reset_before_anything_is_done() {
    let (fake, version) = with_key(KEY);
    when_signing(&fake, When::Always, Effect::Reset);
    assert!(matches!(sign(&fake, &version), Err(RigError::Io(_))));
    assert!(!fake.calls().unwrap()[0].acted);
}

#[test]
fn a_hanging_call_waits_for_its_caller_to_go() {
    for (effect, acted) in [(Effect::Hang, false), (Effect::HangAfterwards, true)] {
        let (fake, version) = with_key(KEY);
        when_signing(&fake, When::Always, effect);
        hang_up_on(&fake, &version);
        assert_eq!(fake.calls().unwrap()[0].acted, acted);
    }
}

/// Asks for a signature, and hangs up before it comes.
fn hang_up_on(fake: &FakeKms, version: &str) {
    let mut connection = Connection::open(fake.address()).unwrap();
    let socket = connection.socket();
    let body = "{\"data\":\"AAAA\"}";
    let length = body.len();
    write!(socket, "POST /v1/{version}:asymmetricSign HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}")
        .unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    assert_eq!(socket.read_to_end(&mut answer).unwrap(), 0);
}

#[test]
fn an_answer_breaks_off() {
    let (fake, version) = with_key(KEY);
    when_signing(&fake, When::Always, Effect::TruncateAnswer);
    let Err(RigError::Io(error)) = sign(&fake, &version) else { panic!("a whole answer came") };
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_proxy_answers_with_a_page() {
    let (fake, version) = with_key(KEY);
    when_signing(&fake, When::Always, Effect::ProxyPage(502));
    let answer = sign(&fake, &version).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html")));
    assert!(answer.text().contains("<html>"));
}

#[test]
fn a_slow_call_is_answered() {
    let (fake, version) = with_key(KEY);
    when_signing(&fake, When::Always, Effect::Slow(Duration::from_millis(1)));
    assert_eq!(status(&sign(&fake, &version).unwrap()), "OK");
}
