//! What goes over the wire, octet by octet.

use super::{Dialogue, answers};

#[tokio::test]
async fn a_call_on_what_is_not_answered_yet() {
    let messages = [
        r#"["push",["pipeline",0,["pki"],["t"]]]"#,
        r#"["push",["pipeline",1,["signCsr"],[{"csrPem":"…","serviceType":"node","instanceId":"n1"}]]]"#,
        r#"["pull",2]"#,
    ];
    let resolved = r#"["resolve",2,{"success":true,"certificatePem":"…","chain":[["…","…"]]}]"#;
    assert_eq!(answers(&messages).await, [resolved]);
    let mut dialogue = Dialogue::new();
    dialogue.says(&messages, &[resolved]).await;
    dialogue.says(&[r#"["release",2,1]"#], &[]).await;
}

#[tokio::test]
async fn methods_of_an_answer_are_called_for_themselves() {
    let mut dialogue = Dialogue::new();
    dialogue
        .says(
            &[r#"["push",["pipeline",0,["tokens"],["<jwt>"]]]"#, r#"["pull",1]"#],
            &[r#"["resolve",1,{"create":["export",-1],"list":["export",-2],"revoke":["export",-3]}]"#],
        )
        .await;
    dialogue
        .says(
            &[
                r#"["release",1,1]"#,
                r#"["push",["pipeline",-1,[],[{"subject":"x","sans":["undefined"],"expiresIn":"1h"}]]]"#,
                r#"["pull",2]"#,
            ],
            &[r#"["resolve",2,"<jwt>"]"#],
        )
        .await;
    dialogue
        .says(
            &[r#"["push",["pipeline",-2,[],[]]]"#, r#"["pull",3]"#],
            &[r#"["resolve",3,[[{"jti":"1","sans":[["a"]]}]]]"#],
        )
        .await;
    dialogue
        .says(
            &[r#"["push",["pipeline",-3,[],[{"jti":"1"}]]]"#, r#"["pull",4]"#],
            &[r#"["resolve",4,["undefined"]]"#],
        )
        .await;
    dialogue.says(&[r#"["release",-1,1]"#, r#"["release",-2,1]"#, r#"["release",-3,1]"#], &[]).await;
}

#[tokio::test]
async fn what_fails_is_rejected() {
    let messages = [
        r#"["push",["pipeline",0,["boom"],[]]]"#,
        r#"["pull",1]"#,
        r#"["push",["pipeline",0,["tokens"],["other"]]]"#,
        r#"["push",["pipeline",2,["create"],[{}]]]"#,
        r#"["pull",3]"#,
        r#"["push",["pipeline",0,["panic"],[]]]"#,
        r#"["pull",4]"#,
    ];
    let mut dialogue = Dialogue::new();
    dialogue
        .says(
            &messages,
            &[
                r#"["reject",1,["error","Error","boom"]]"#,
                r#"["reject",3,["error","TypeError","'create' is not a function."]]"#,
                r#"["reject",4,["error","Error","The service failed at this call; its log says more."]]"#,
            ],
        )
        .await;
}
