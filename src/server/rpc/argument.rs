//! The one argument of a method, as the shape that the HTTP interface has for it.

use super::super::problem::Problem;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a method was called with: an object of exactly the fields that the shape has, or nothing.
pub(super) struct Argument(Option<Map<String, Value>>);

impl Argument {
    pub(super) fn new(arguments: Vec<Value>) -> Result<Self, Problem> {
        let mut arguments = arguments.into_iter();
        let given = arguments.next();
        if arguments.any(|more| !more.is_null()) {
            return Err(Problem::malformed("the method takes one argument, an object"));
        }
        match given {
            None | Some(Value::Null) => Ok(Self(None)),
            Some(Value::Object(fields)) => Ok(Self(Some(fields))),
            Some(_) => Err(Problem::malformed("the argument is not an object")),
        }
    }

    pub(super) fn body<T: DeserializeOwned>(self) -> Result<T, Problem> {
        match self.0 {
            Some(fields) => read(fields),
            None => Err(Problem::malformed("the argument is missing: an object is expected")),
        }
    }

    /// As [`Argument::body`], and the shape's default where there is no argument.
    pub(super) fn optional<T: DeserializeOwned + Default>(self) -> Result<T, Problem> {
        self.0.map_or_else(|| Ok(T::default()), read)
    }

    /// As [`Argument::optional`], of what is a query in the HTTP interface: its cursor is text there, a number here or
    /// text that holds one.
    pub(super) fn query<T: DeserializeOwned + Default>(mut self) -> Result<T, Problem> {
        let cursor = self.0.as_mut().and_then(|fields| fields.get_mut("cursor"));
        if let Some((cursor, number)) = cursor.and_then(|text| {
            let number = text.as_str()?.parse::<i64>().ok()?;
            Some((text, number))
        }) {
            *cursor = number.into();
        }
        self.optional()
    }

    /// Of a method that takes none.
    pub(super) fn nothing(self) -> Result<(), Problem> {
        match self.0.and_then(|fields| fields.into_iter().next()) {
            Some((name, _)) => {
                Err(Problem::malformed(format!("unknown field `{name}`, there are no fields")))
            }
            None => Ok(()),
        }
    }
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        Problem::malformed(format!("the argument is not the object that is expected here: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Page {
        cursor: Option<i64>,
    }

    fn sentence<T: std::fmt::Debug>(refused: Result<T, Problem>) -> String {
        refused.unwrap_err().sentence().to_owned()
    }

    #[test]
    fn a_cursor_is_a_number_or_text_that_holds_one() {
        let page = |value: Value| Argument::new(vec![value]).unwrap().query::<Page>();
        for (given, cursor) in [(json!({"cursor": 17}), 17), (json!({"cursor": "17"}), 17)] {
            assert_eq!(page(given).unwrap(), Page { cursor: Some(cursor) });
        }
        assert_eq!(page(json!({})).unwrap(), Page::default());
        assert_eq!(Argument::new(Vec::new()).unwrap().query::<Page>().unwrap(), Page::default());
        assert!(
            sentence(page(json!({"cursor": "x"}))).ends_with(r#"invalid type: string "x", expected i64"#)
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let body = |value: Value| Argument::new(vec![value]).and_then(Argument::body::<Page>);
        assert!(sentence(body(json!({"cursr": 1}))).contains("unknown field `cursr`, expected `cursor`"));
        assert_eq!(sentence(body(json!([1]))), "the argument is not an object");
        assert_eq!(sentence(body(Value::Null)), "the argument is missing: an object is expected");
        let two = Argument::new(vec![json!({}), json!({})]).and_then(Argument::body::<Page>);
        assert_eq!(sentence(two), "the method takes one argument, an object");
        let none = Argument::new(vec![json!({"a": 1})]).and_then(Argument::nothing);
        assert_eq!(sentence(none), "unknown field `a`, there are no fields");
        Argument::new(vec![json!({})]).and_then(Argument::nothing).unwrap();
    }
}
