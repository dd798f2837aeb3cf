//! New keys that KMS does not show yet: it is eventually consistent.

use super::request::{Request, bare};
use serde_json::Value;
use std::collections::HashMap;

/// What shows a key, or needs to see it.
const SEEING: &[&str] = &[
    "DescribeKey",
    "GetKeyPolicy",
    "GetPublicKey",
    "ListAliases",
    "ListKeys",
    "ListResourceTags",
    "Sign",
    "Verify",
];

/// Which new keys are not shown yet.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// Whether keys that are made from now on are hidden, and for how many calls; `Some(None)`: until they are released.
    for_new: Option<Option<usize>>,
    /// The calls that each still stays hidden for, by id.
    keys: HashMap<String, Option<usize>>,
}

impl Hidden {
    pub(super) fn hide_new(&mut self, calls: Option<usize>) {
        self.for_new = Some(calls);
    }

    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    /// KMS made a key.
    pub(super) fn made(&mut self, id: &str) {
        if let Some(calls) = self.for_new {
            self.keys.insert(id.to_owned(), calls);
        }
    }

    /// Whether this request is about a key that is not there yet. Counts it.
    pub(super) fn hides(&mut self, request: &Request, key: Option<&str>) -> bool {
        let key = key.or_else(|| request.named().map(bare));
        SEEING.contains(&request.operation.as_str()) && key.is_some_and(|key| self.count(key))
    }

    /// Takes what is hidden out of a list. Counts a list for each key that it would show.
    pub(super) fn thin(&mut self, operation: &str, answer: &mut Value) {
        let (list, field) = match operation {
            "ListKeys" => ("Keys", "KeyId"),
            "ListAliases" => ("Aliases", "TargetKeyId"),
            _ => return,
        };
        if let Some(list) = answer.get_mut(list).and_then(Value::as_array_mut) {
            list.retain(|entry| !entry[field].as_str().is_some_and(|id| self.count(id)));
        }
    }

    fn count(&mut self, id: &str) -> bool {
        match self.keys.get_mut(id) {
            None | Some(Some(0)) => false,
            Some(None) => true,
            Some(Some(calls)) => {
                *calls -= 1;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;
    use serde_json::json;

    #[test]
    fn a_new_key_shows_after_so_many_calls_that_would_have_shown_it() {
        let mut hidden = Hidden::default();
        hidden.made("old");
        hidden.hide_new(Some(2));
        hidden.made("new");
        let request = |operation: &str, key: &str| Request {
            operation: operation.to_owned(),
            scope: None,
            headers: HeaderMap::new(),
            body: json!({"KeyId": key}),
        };
        assert!(!hidden.hides(&request("Sign", "old"), None));
        assert!(!hidden.hides(&request("CreateAlias", "new"), None));
        let arn = "arn:aws:kms:eu-west-1:1:key/new";
        assert!(hidden.hides(&request("Sign", arn), None));
        let listed = |hidden: &mut Hidden| {
            let mut answer = json!({"Keys": [{"KeyId": "old"}, {"KeyId": "new"}]});
            hidden.thin("ListKeys", &mut answer);
            answer["Keys"].as_array().unwrap().len()
        };
        assert_eq!((listed(&mut hidden), listed(&mut hidden)), (1, 2));
        assert!(!hidden.hides(&request("Sign", arn), None));
    }
}
