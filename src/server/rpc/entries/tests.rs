//! What holds for methods as for the endpoints that they stand for.

use super::{
    super::{
        super::{
            peer::{Channel, Peer},
            routes::tests::{SYSTEM, app},
        },
        failure::Failure,
    },
    *,
};

async fn bound(method: &'static Rpc, address: &str, credential: &str) -> Bound {
    let peer = Peer { address: address.parse().unwrap(), channel: Channel::Plain };
    let visit = Arc::new(Visit::new(app().await, peer));
    Bound {
        visit,
        credential: Arc::new(credential.into()),
        method,
        endpoint: endpoint_of_rpc(method.name).unwrap(),
    }
}

/// The sentence of a call that fails, in whatever shape.
async fn failure(bound: &Bound) -> String {
    match bound.call(Vec::new()).await {
        Err(exception) => exception.message,
        Ok(Answer::Value(answer)) => answer["error"].as_str().unwrap().to_owned(),
        Ok(_) => panic!("no failure"),
    }
}

#[tokio::test]
async fn methods_with_secrets_are_refused_where_they_can_be_read_on_the_way() {
    let mut refused = Vec::new();
    for method in ENTRIES.iter().flat_map(|(_, methods)| *methods) {
        let elsewhere = failure(&bound(method, "192.0.2.1:4711", "garbage").await).await;
        if elsewhere == Problem::overheard().sentence() {
            refused.push(method.name);
        } else {
            assert_eq!(elsewhere, "Invalid token", "{}", method.name);
        }
        assert_eq!(failure(&bound(method, "127.0.0.1:4711", "garbage").await).await, "Invalid token");
    }
    assert_eq!(refused, ["tokens.create", "certs.rotate", "pki.initialize"]);
}

/// As a method would whose author forgot to ask.
const UNASKED: Rpc = Rpc {
    name: "pki.getStatus",
    failure: Failure::Rejects,
    is_list: false,
    run: |call| Box::pin(async { Ok(json!(call.argument.nothing().is_ok())) }),
};
const PUBLIC: Rpc = Rpc { name: "pki.getCaBundle", ..UNASKED };

#[tokio::test]
async fn an_answer_of_a_method_without_a_decision_is_held_back() {
    let unasked = bound(&UNASKED, "127.0.0.1:4711", SYSTEM).await;
    assert_eq!(failure(&unasked).await, Problem::undecided().sentence());
    let public = bound(&PUBLIC, "127.0.0.1:4711", SYSTEM).await;
    assert!(matches!(public.call(Vec::new()).await, Ok(Answer::Value(Value::Bool(true)))));
}

#[tokio::test]
async fn an_entry_point_gives_an_object_for_a_good_credential_and_else_a_sentence() {
    let peer = Peer { address: ([127, 0, 0, 1], 4711).into(), channel: Channel::Plain };
    let visit = Arc::new(Visit::new(app().await, peer));
    for (name, entry) in main(&visit).iter() {
        for arguments in [vec![], vec![json!("")], vec![json!({"token": SYSTEM})], vec![Value::Null]] {
            let Ok(Answer::Value(answer)) = entry.call(arguments).await else { panic!("{name}") };
            assert_eq!(answer, json!({"error": "Invalid token"}), "{name}");
        }
        let Ok(Answer::Object(object)) = entry.call(vec![json!(SYSTEM)]).await else { panic!("{name}") };
        let (_, methods) = ENTRIES.iter().find(|(entry, _)| entry == name).unwrap();
        assert_eq!(object.len(), methods.len());
    }
}
