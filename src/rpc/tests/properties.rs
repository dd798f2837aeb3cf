//! Properties of any session.

use super::{super::session::Session, LIMITS, go_on, main_object};
use crate::rpc::{Limits, Total, batch};
use proptest::prelude::*;
use serde_json::{Value, json};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// JSON without the names that are left out.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\\u{e9}\u{0}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-c]{1,2}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The value as an expression.
fn wrapped(value: &Value) -> Value {
    match value {
        Value::Array(items) => json!([items.iter().map(wrapped).collect::<Vec<_>>()]),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), wrapped(field))).collect(),
        scalar => scalar.clone(),
    }
}

/// An expression, well formed or not, over small numbers.
fn expression() -> impl Strategy<Value = Value> {
    let id = -5_i64..12;
    let path = prop::collection::vec(
        prop_oneof![
            prop::sample::select(vec![
                "echo",
                "tokens",
                "boom",
                "nothing",
                "panics",
                "create",
                "list",
                "__proto__",
                "a"
            ])
            .prop_map(Value::from),
            (0..3_u8).prop_map(Value::from),
        ],
        0..3,
    );
    let leaf = prop_oneof![
        value().prop_map(|value| wrapped(&value)),
        Just(json!("<jwt>")),
        (
            prop::sample::select(vec!["undefined", "inf", "bigint", "date", "bytes", "readable", "what"]),
            0..3_u8
        )
            .prop_map(|(kind, count)| Value::Array(vec![json!(kind); 1 + usize::from(count)])),
        (prop::sample::select(vec!["export", "promise", "import", "pipeline"]), id.clone())
            .prop_map(|(kind, id)| json!([kind, id])),
    ];
    leaf.prop_recursive(3, 16, 3, move |inner| {
        prop_oneof![
            (id.clone(), path.clone(), prop::option::of(prop::collection::vec(inner.clone(), 0..3)))
                .prop_map(|(id, path, arguments)| match arguments {
                    Some(arguments) => json!(["pipeline", id, path, arguments]),
                    None => json!(["pipeline", id, path]),
                }),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| json!([items])),
            (id.clone(), prop::collection::vec(inner, 0..3)).prop_map(|(id, items)| json!([
                "remap",
                id,
                [],
                [["import", 0]],
                items
            ])),
        ]
    })
}

fn message() -> impl Strategy<Value = String> {
    let id = -5_i64..12;
    prop_oneof![
        8 => expression().prop_map(|expression| json!(["push", expression]).to_string()),
        1 => expression().prop_map(|expression| json!(["stream", expression]).to_string()),
        4 => id.clone().prop_map(|id| json!(["pull", id]).to_string()),
        2 => (id.clone(), 0..2_u8).prop_map(|(id, count)| json!(["release", id, count]).to_string()),
        1 => (id, expression()).prop_map(|(id, expression)| json!(["resolve", id, expression]).to_string()),
        1 => Just(r#"["pipe"]"#.to_owned()),
        1 => expression().prop_map(|expression| expression.to_string()),
        1 => ".{0,40}",
    ]
}

/// What one step of the model does.
#[derive(Clone, Debug)]
enum Step {
    /// `echo` of a value beside an earlier answer, if there is one.
    Echo(Value, Option<prop::sample::Index>),
    Boom,
    Nothing,
    /// The first item of an earlier answer.
    Read(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (value(), prop::option::of(any::<prop::sample::Index>()))
            .prop_map(|(value, earlier)| Step::Echo(value, earlier)),
        1 => Just(Step::Boom),
        1 => Just(Step::Nothing),
        2 => any::<prop::sample::Index>().prop_map(Step::Read),
    ]
}

/// An answer: data, `undefined`, or an error as it is written.
type Modelled = Result<Option<Value>, &'static str>;

const BOOM: &str = r#"["error","Error","boom"]"#;
const UNDEFINED: &str = r#"["error","TypeError","Cannot read properties of undefined (reading '0')"]"#;

impl Step {
    /// The message, and what it comes to.
    fn modelled(&self, before: &[Modelled]) -> (Value, Modelled) {
        let earlier = |index: &prop::sample::Index| (!before.is_empty()).then(|| index.index(before.len()));
        match self {
            Self::Boom => (json!(["pipeline", 0, ["boom"], []]), Err(BOOM)),
            Self::Nothing => (json!(["pipeline", 0, ["nothing"], []]), Ok(None)),
            Self::Read(index) => match earlier(index) {
                None => (json!(["pipeline", 0, ["nope"]]), Ok(None)),
                Some(at) => {
                    let item = match &before[at] {
                        Err(error) => Err(*error),
                        Ok(None) => Err(UNDEFINED),
                        Ok(Some(Value::Array(items))) => Ok(items.first().cloned()),
                        Ok(Some(_)) => Ok(None),
                    };
                    (json!(["pipeline", at + 1, [0]]), item)
                }
            },
            Self::Echo(value, index) => match index.as_ref().and_then(earlier) {
                None => (json!(["pipeline", 0, ["echo"], [wrapped(value)]]), Ok(Some(json!([value])))),
                Some(at) => {
                    let put = match &before[at] {
                        Err(error) => Err(*error),
                        Ok(None) => Ok(Some(json!([value]))),
                        Ok(Some(put)) => Ok(Some(json!([value, put]))),
                    };
                    (json!(["pipeline", 0, ["echo"], [wrapped(value), ["pipeline", at + 1]]]), put)
                }
            },
        }
    }
}

fn written(id: usize, modelled: &Modelled) -> String {
    match modelled {
        Err(error) => format!(r#"["reject",{id},{error}]"#),
        Ok(None) => format!(r#"["resolve",{id},["undefined"]]"#),
        Ok(Some(value)) => json!(["resolve", id, wrapped(value)]).to_string(),
    }
}

proptest! {
    #[test]
    fn values_come_back_as_they_went(value in value()) {
        let messages = format!("{}\n[\"pull\",1]", json!(["push", ["pipeline", 0, ["echo"], [wrapped(&value)]]]));
        let answer = runtime().block_on(batch(main_object(), &messages, &LIMITS, &Total::default()));
        prop_assert_eq!(answer, json!(["resolve", 1, wrapped(&json!([value]))]).to_string());
    }

    #[test]
    fn any_messages_end_in_answers_within_the_limits(messages in prop::collection::vec(message(), 0..40)) {
        let limits = Limits { entries: 8, kept: 2000, running: 2, ..LIMITS };
        runtime().block_on(async {
            let mut session = Session::new(main_object(), &limits, &Total::default());
            for message in &messages {
                while !session.has_room() {
                    assert!(session.is_busy() || session.is_stalled(), "it waits for nothing");
                    go_on(&mut session).await;
                }
                let taken = session.take(message);
                while session.answer(usize::MAX).is_some() {}
                assert!(session.running() <= limits.running);
                assert!(session.entries() <= limits.entries + 1);
                assert!(session.kept() <= limits.kept + 10 * LIMITS.message);
                if taken.is_err() {
                    break;
                }
            }
            go_on(&mut session).await;
            while session.answer(usize::MAX).is_some() {}
            assert!(session.entries() <= limits.entries);
        });
    }

    #[test]
    fn any_batch_is_answered_with_messages(messages in prop::collection::vec(message(), 0..40)) {
        let answers = runtime().block_on(batch(main_object(), &messages.join("\n"), &LIMITS, &Total::default()));
        for answer in answers.lines() {
            let answer = serde_json::from_str::<Value>(answer).unwrap();
            prop_assert!(["resolve", "reject", "release", "abort"].contains(&answer[0].as_str().unwrap()));
        }
    }

    #[test]
    fn answers_are_those_of_the_model(steps in prop::collection::vec(step(), 1..12)) {
        let limits = Limits { message: 1 << 20, depth: 100, kept: 1 << 24, ..LIMITS };
        let mut modelled = Vec::new();
        let mut messages = Vec::new();
        for step in &steps {
            let (message, answer) = step.modelled(&modelled);
            messages.push(json!(["push", message]).to_string());
            modelled.push(answer);
        }
        messages.extend((1..=steps.len()).map(|id| json!(["pull", id]).to_string()));
        let answers = runtime().block_on(batch(main_object(), &messages.join("\n"), &limits, &Total::default()));
        let mut answers = answers.lines().collect::<Vec<_>>();
        let mut expected =
            modelled.iter().enumerate().map(|(at, answer)| written(at + 1, answer)).collect::<Vec<_>>();
        answers.sort_unstable();
        expected.sort();
        prop_assert_eq!(answers, expected);
    }
}
