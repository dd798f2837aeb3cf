//! What a client hears of its mistakes, in the words of the reference implementation where it has any.

use super::{Dialogue, answers};

/// A call or a read that fails, and how.
const REJECTED: [(&str, &str); 13] = [
    (r#"["pipeline",0,["nope"],[]]"#, r#"["error","TypeError","'nope' is not a function."]"#),
    (
        r#"["pipeline",0,["a","b"],[]]"#,
        r#"["error","TypeError","Cannot read properties of undefined (reading 'b')"]"#,
    ),
    (
        r#"["pipeline",0,["a",0]]"#,
        r#"["error","TypeError","Cannot read properties of undefined (reading '0')"]"#,
    ),
    (r#"["pipeline",0,["constructor"],[]]"#, r#"["error","TypeError","'constructor' is not a function."]"#),
    (r#"["pipeline",0,["toString"],[]]"#, r#"["error","TypeError","'toString' is not a function."]"#),
    (
        r#"["pipeline",0,["__proto__","x"],[]]"#,
        r#"["error","TypeError","Cannot read properties of undefined (reading 'x')"]"#,
    ),
    (r#"["pipeline",0,["echo","call"],[]]"#, r#"["error","TypeError","'echo.call' is not a function."]"#),
    (r#"["pipeline",0,[],[]]"#, r#"["error","TypeError","'' is not a function."]"#),
    (
        r#"["pipeline",0,["echo"],[["import",0]]]"#,
        r#"["error","TypeError","An argument is an object or a method of this service, and no method here takes one."]"#,
    ),
    (
        r#"["pipeline",0,["echo"],[["pipeline",0,["nothing"],[]]]]"#,
        r#"["error","TypeError","A call within an argument is not taken: make it, then pass its promise."]"#,
    ),
    (
        r#"["remap",0,["list"],[["import",0]],[["pipeline",0,["jti"]]]]"#,
        r#"["error","TypeError","This service runs no map(): ask for the list, and map it where you are."]"#,
    ),
    (
        r#"["pipeline",0,["echo"],[["readable",3]]]"#,
        r#"["error","TypeError","An argument is a readable, and no method here takes one."]"#,
    ),
    (r#"{"a":1}"#, r#"["error","TypeError","A push is a call or the read of a property."]"#),
];

#[tokio::test]
async fn a_call_that_can_t_be_made_is_rejected_and_the_session_goes_on() {
    for (push, error) in REJECTED {
        let push = format!(r#"["push",{push}]"#);
        let messages = [&push, r#"["pull",1]"#, r#"["push",["pipeline",0,["echo"],[1]]]"#, r#"["pull",2]"#];
        let rejected = format!(r#"["reject",1,{error}]"#);
        assert_eq!(answers(&messages).await, [&rejected, r#"["resolve",2,[[1]]]"#], "{push}");
    }
}

/// Messages that break the protocol, and the last that the client hears.
const BROKEN: [(&str, &str); 29] = [
    ("", r#"["error","SyntaxError","A message is no JSON: EOF while parsing a value at line 1 column 0."]"#),
    ("[", r#"["error","SyntaxError","A message is no JSON: EOF while parsing a list at line 1 column 1."]"#),
    ("{}", r#"["error","Error","bad RPC message: it is no list"]"#),
    ("null", r#"["error","Error","bad RPC message: it is no list"]"#),
    ("[]", r#"["error","Error","bad RPC message: []"]"#),
    ("[[[]]]", r#"["error","Error","bad RPC message: […]"]"#),
    (r#"["bogus"]"#, r#"["error","Error","bad RPC message: [\"bogus\"]"]"#),
    (r#"["push"]"#, r#"["error","Error","bad RPC message: [\"push\"]"]"#),
    (r#"["pull"]"#, r#"["error","Error","bad RPC message: [\"pull\"]"]"#),
    (r#"["pull","1"]"#, r#"["error","Error","bad RPC message: [\"pull\",…]"]"#),
    (r#"["pull",1]"#, r#"["error","Error","no such export ID: 1"]"#),
    (r#"["pull",-1]"#, r#"["error","Error","no such export ID: -1"]"#),
    (r#"["pull",1.5]"#, r#"["error","Error","no such export ID: 1.5"]"#),
    (r#"["release",1]"#, r#"["error","Error","bad RPC message: [\"release\",…]"]"#),
    (r#"["release",1,1]"#, r#"["error","Error","no such export ID: 1"]"#),
    (r#"["release",0,2]"#, r#"["error","Error","refcount would go negative: 1 < 2"]"#),
    (r#"["release",0,-1]"#, r#"["error","Error","bad RPC message: [\"release\",…]"]"#),
    (r#"["resolve",1]"#, r#"["error","Error","bad RPC message: [\"resolve\",…]"]"#),
    (r#"["push",[]]"#, r#"["error","TypeError","unknown special value: []"]"#),
    (r#"["push",["foo",1]]"#, r#"["error","TypeError","unknown special value: [\"foo\",…]"]"#),
    (r#"["push",["pipeline"]]"#, r#"["error","TypeError","unknown special value: [\"pipeline\"]"]"#),
    (r#"["push",["pipeline",0,"x"]]"#, r#"["error","TypeError","unknown special value: [\"pipeline\",…]"]"#),
    (
        r#"["push",["pipeline",0,[null],[]]]"#,
        r#"["error","TypeError","unknown special value: [\"pipeline\",…]"]"#,
    ),
    (
        r#"["push",["pipeline",0,["x"],{}]]"#,
        r#"["error","TypeError","unknown special value: [\"pipeline\",…]"]"#,
    ),
    (r#"["push",["pipeline",1,["x"],[]]]"#, r#"["error","Error","no such entry on exports table: 1"]"#),
    (r#"["push",["pipeline",-1,[],[]]]"#, r#"["error","Error","no such entry on exports table: -1"]"#),
    (
        r#"["push",["pipeline",0,["echo"],[["pipeline",1]]]]"#,
        r#"["error","Error","no such entry on exports table: 1"]"#,
    ),
    (
        r#"["push",["pipeline",0,["echo"],[["bigint","0x1"]]]]"#,
        r#"["error","SyntaxError","A bigint has digits alone."]"#,
    ),
    (r#"["push",["remap",0,[],[["what",1]],[]]]"#, r#"["error","TypeError","unknown map capture"]"#),
];

#[tokio::test]
async fn a_malformed_message_ends_the_session_with_an_abort() {
    for (message, error) in BROKEN {
        let mut dialogue = Dialogue::new();
        dialogue.says(&[message], &[&format!(r#"["abort",{error}]"#)]).await;
        assert_eq!(dialogue.hears().await, None, "{message}");
    }
}

#[tokio::test]
async fn what_was_asked_before_a_malformed_message_is_answered() {
    let messages = [r#"["push",["pipeline",0,["echo"],[1]]]"#, r#"["pull",1]"#, "nonsense", r#"["pull",7]"#];
    let answers = answers(&messages).await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], r#"["resolve",1,[[1]]]"#);
    assert!(answers[1].starts_with(r#"["abort",["error","SyntaxError","#));
}

#[tokio::test]
async fn an_entry_that_was_released_is_gone() {
    let push = r#"["push",["pipeline",0,["nothing"],[]]]"#;
    for (messages, last) in [
        (
            [push, r#"["release",1,1]"#, r#"["pull",1]"#],
            r#"["abort",["error","Error","no such export ID: 1"]]"#,
        ),
        (
            [push, r#"["release",1,1]"#, r#"["release",1,1]"#],
            r#"["abort",["error","Error","no such export ID: 1"]]"#,
        ),
        (
            [push, r#"["release",1,2]"#, r#"["pull",1]"#],
            r#"["abort",["error","Error","refcount would go negative: 1 < 2"]]"#,
        ),
        (
            [push, r#"["release",1,1]"#, r#"["push",["pipeline",1,["x"],[]]]"#],
            r#"["abort",["error","Error","no such entry on exports table: 1"]]"#,
        ),
        (
            [r#"["release",0,1]"#, push, r#"["pull",1]"#],
            r#"["abort",["error","Error","no such entry on exports table: 0"]]"#,
        ),
    ] {
        assert_eq!(answers(&messages).await, [last]);
    }
}

#[tokio::test]
async fn nothing_that_a_client_sent_comes_back_in_an_error_about_its_form() {
    let secret = "a-token-that-stands-where-none-belongs";
    for message in
        [format!(r#"["{secret}"]"#), format!(r#"["push",["{secret}"]]"#), format!(r#"["pull","{secret}"]"#)]
    {
        let answers = answers(&[&message]).await;
        assert!(!answers.concat().contains(secret), "{answers:?}");
    }
}

#[tokio::test]
async fn a_method_is_called_and_nothing_else() {
    let mut dialogue = Dialogue::new();
    let object = r#"["resolve",1,{"create":["export",-1],"list":["export",-2],"revoke":["export",-3]}]"#;
    dialogue.says(&[r#"["push",["pipeline",0,["tokens"],["<jwt>"]]]"#, r#"["pull",1]"#], &[object]).await;
    dialogue
        .says(
            &[
                r#"["pull",-1]"#,
                r#"["push",["pipeline",-3,[]]]"#,
                r#"["pull",2]"#,
                r#"["push",["pipeline",-3,["call"],[]]]"#,
                r#"["pull",3]"#,
                r#"["push",["pipeline",1,["revoke"]]]"#,
                r#"["pull",4]"#,
            ],
            &[
                r#"["reject",-1,["error","Error","Tried to resolve a non-promise stub."]]"#,
                r#"["reject",2,["error","Error","Can't dup an RpcTarget stub as a promise."]]"#,
                r#"["reject",3,["error","TypeError","'call' is not a function."]]"#,
                r#"["resolve",4,["export",-4]]"#,
            ],
        )
        .await;
}
