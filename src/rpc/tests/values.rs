//! Values, there and back.

use super::answers;

/// An argument, and as what it comes back from `echo`.
const ARGUMENTS: [(&str, &str); 24] = [
    ("1", "1"),
    ("-0.5", "-0.5"),
    (r#""text""#, r#""text""#),
    ("null", "null"),
    ("true", "true"),
    (r#"["undefined"]"#, ""),
    (r#"["undefined"],1"#, "null,1"),
    (r#"{"a":["undefined"],"b":1}"#, r#"{"b":1}"#),
    (r#"[[["undefined"],1]]"#, "[[null,1]]"),
    ("[[]]", "[[]]"),
    ("[[[[]],[[1,[[2]]]]]]", "[[[[]],[[1,[[2]]]]]]"),
    (r#"{"a":[[{"b":[[]]}]]}"#, r#"{"a":[[{"b":[[]]}]]}"#),
    (r#"{"__proto__":1,"toString":2,"toJSON":3,"constructor":4,"a":5}"#, r#"{"a":5}"#),
    (r#"["inf"],["-inf"],["nan"]"#, r#""Infinity","-Infinity","NaN""#),
    (r#"["bytes","AQID"]"#, r#""AQID""#),
    (r#"["bytes","AQID","Uint8Array"]"#, r#""AQID""#),
    (r#"["bigint","12"],["bigint","-9223372036854775808"]"#, "12,-9223372036854775808"),
    (r#"["bigint","18446744073709551616"]"#, r#""18446744073709551616""#),
    (r#"["date",0],["date",1700000000123]"#, r#""1970-01-01T00:00:00.000Z","2023-11-14T22:13:20.123Z""#),
    (r#"["date",-1],["date",null]"#, r#""1969-12-31T23:59:59.999Z",null"#),
    (r#"["error","TypeError","no"]"#, r#"{"name":"TypeError","message":"no"}"#),
    (r#"["error","Error","no","at x",{"cause":[[1]]}]"#, r#"{"name":"Error","message":"no"}"#),
    (r#"["url","http://localhost/"]"#, r#""http://localhost/""#),
    (r#""\ud83d\ude00\n\u0000""#, r#""😀\n\u0000""#),
];

#[tokio::test]
async fn an_argument_is_read_as_json() {
    for (argument, value) in ARGUMENTS {
        let push = format!(r#"["push",["pipeline",0,["echo"],[{argument}]]]"#);
        let expected = format!(r#"["resolve",1,[[{value}]]]"#);
        assert_eq!(answers(&[&push, r#"["pull",1]"#]).await, [expected], "{argument}");
    }
}

#[tokio::test]
async fn a_date_beyond_our_calendar_is_refused() {
    for date in ["1e300", "-1e300", "8.64e15", "-62167219200001"] {
        let push = format!(r#"["push",["pipeline",0,["echo"],[["date",{date}]]]]"#);
        let expected =
            r#"["reject",1,["error","TypeError","An argument is a date outside the years 0 to 9999."]]"#;
        assert_eq!(answers(&[&push, r#"["pull",1]"#]).await, [expected], "{date}");
    }
}

#[tokio::test]
async fn answers_are_read_by_path() {
    let data = r#"[[{"list":[[{"jti":"x"}]],"text":"t","null":null,"5":"five","1.5":"half"}]]"#;
    let call = format!(r#"["push",["pipeline",0,["echo"],[{data}]]]"#);
    for (path, value) in [
        (r#"[0,0,"list",0,"jti"]"#, r#""x""#),
        (r#"[0,0,"list"]"#, r#"[[{"jti":"x"}]]"#),
        (r#"[0,0,"list","0"]"#, r#"["undefined"]"#),
        (r#"[0,0,"list","length"]"#, r#"["undefined"]"#),
        (r#"[0,0,"list",-1]"#, r#"["undefined"]"#),
        (r#"[0,0,"list",0.5]"#, r#"["undefined"]"#),
        (r#"[0,0,"list",1e300]"#, r#"["undefined"]"#),
        (r#"[0,0,"text","length"]"#, r#"["undefined"]"#),
        (r#"[0,0,"null"]"#, "null"),
        (r#"[0,0,"null","x"]"#, r#"["undefined"]"#),
        (r#"[0,0,5]"#, r#""five""#),
        (r#"[0,0,1.5]"#, r#""half""#),
        (r#"[0,0,"__proto__"]"#, r#"["undefined"]"#),
    ] {
        let read = format!(r#"["push",["pipeline",1,{path}]]"#);
        let expected = format!(r#"["resolve",2,{value}]"#);
        assert_eq!(answers(&[&call, &read, r#"["pull",2]"#]).await, [expected], "{path}");
    }
}

#[tokio::test]
async fn promises_are_put_into_arguments() {
    let messages = [
        r#"["push",["pipeline",0,["slow"],[5,{"a":[[1,2]]}]]]"#,
        r#"["push",["pipeline",0,["nothing"],[]]]"#,
        r#"["push",["pipeline",0,["echo"],[["pipeline",1,["a"]],{"x":["pipeline",1],"y":["pipeline",2]},[[["import",2]]]]]]"#,
        r#"["pull",3]"#,
        r#"["push",["pipeline",0,["boom"],[]]]"#,
        r#"["push",["pipeline",0,["echo"],[["pipeline",4]]]]"#,
        r#"["pull",5]"#,
        r#"["push",["pipeline",0,["echo"],[["pipeline",1,["b","c"]]]]]"#,
        r#"["pull",6]"#,
    ];
    let mut answers = answers(&messages).await;
    answers.sort();
    assert_eq!(
        answers,
        [
            r#"["reject",5,["error","Error","boom"]]"#,
            r#"["reject",6,["error","TypeError","Cannot read properties of undefined (reading 'c')"]]"#,
            r#"["resolve",3,[[[[1,2]],{"x":{"a":[[1,2]]}},[[null]]]]]"#,
        ]
    );
}

#[tokio::test]
async fn objects_of_the_client_are_given_back() {
    let messages = [
        r#"["push",["pipeline",0,["echo"],[["export",3],{"a":["promise",4]},[[["export",3]]]]]]"#,
        r#"["pull",1]"#,
        r#"["resolve",9,["export",5]]"#,
        r#"["push",["remap",0,[],[["export",6],["import",0]],[null]]]"#,
    ];
    let refused = "An argument is a function or an object of the client, and no method here takes one.";
    assert_eq!(
        answers(&messages).await,
        [
            r#"["release",3,2]"#,
            r#"["release",4,1]"#,
            &format!(r#"["reject",1,["error","TypeError","{refused}"]]"#),
            r#"["release",5,1]"#,
            r#"["release",6,1]"#,
        ]
    );
}

#[tokio::test]
async fn streams_are_refused_aloud() {
    let messages = [
        r#"["pipe"]"#,
        r#"["push",["pipeline",0,["echo"],[["readable",1]]]]"#,
        r#"["stream",["pipeline",1,["write"],["x"]]]"#,
        r#"["release",1,1]"#,
        r#"["stream",["pipeline",0,["echo"],["x"]]]"#,
    ];
    assert_eq!(
        answers(&messages).await,
        [r#"["reject",3,["error","Error","This service takes no streams."]]"#, r#"["resolve",4,[["x"]]]"#]
    );
}
