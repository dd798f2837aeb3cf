//! IAM policy documents, as far as policies for KMS need them: what is not understood here is an error, never a
//! statement that passes unnoticed.

use crate::RigError;
use serde_json::Value;
use std::collections::BTreeMap;

/// A policy.
#[derive(Debug, Clone)]
pub(super) struct Policy(Vec<Statement>);

#[derive(Debug, Clone)]
struct Statement {
    allows: bool,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    operator: Operator,
    /// Holds too where the key is absent.
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// `StringEquals`, and `Bool`, which compares the words.
    Equals,
    NotEquals,
    Like,
    NotLike,
    /// `ForAllValues:StringEquals`, `ForAllValues:StringLike`.
    All,
    /// `ForAnyValue:StringEquals`, `ForAnyValue:StringLike`.
    Any,
    Null,
}

/// What a policy is asked.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    /// `kms:Sign`.
    pub(super) action: String,
    /// An ARN, or `*`.
    pub(super) resource: &'a str,
    /// The values of condition keys; tags by `aws:ResourceTag/…`.
    pub(super) context: &'a BTreeMap<String, Vec<String>>,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// No statement allows it.
    Silent,
    /// A statement denies it.
    Denied,
}

impl Policy {
    /// # Errors
    /// It is no policy, or says what the proxy does not enforce; the error names it.
    pub(super) fn read(document: &str) -> Result<Self, RigError> {
        let document: Value = serde_json::from_str(document).map_err(|error| odd(error.to_string()))?;
        if document["Version"] != "2012-10-17" {
            return Err(odd("its Version is not 2012-10-17".to_owned()));
        }
        let statements = match &document["Statement"] {
            Value::Array(statements) => statements.iter().map(statement).collect(),
            one => statement(one).map(|one| vec![one]),
        };
        statements.map(Self)
    }

    pub(super) fn judge(&self, question: &Question<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in self.0.iter().filter(|statement| statement.is_about(question)) {
            match statement.allows {
                true => verdict = Verdict::Allowed,
                false => return Verdict::Denied,
            }
        }
        verdict
    }
}

impl Statement {
    fn is_about(&self, question: &Question<'_>) -> bool {
        let action = question.action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
            && self.resources.iter().any(|pattern| matches(pattern, question.resource))
            && self.conditions.iter().all(|condition| condition.holds(question.context))
    }
}

impl Condition {
    fn holds(&self, context: &BTreeMap<String, Vec<String>>) -> bool {
        let found = context.get(&self.key);
        let like = |value: &String| self.values.iter().any(|pattern| matches(pattern, value));
        let equal = |value: &String| self.values.contains(value);
        let Some(found) = found.filter(|found| !found.is_empty()) else {
            return match self.operator {
                Operator::Null => self.values.iter().any(|value| value == "true"),
                Operator::NotEquals | Operator::NotLike | Operator::All => true,
                Operator::Equals | Operator::Like | Operator::Any => self.if_exists,
            };
        };
        match self.operator {
            Operator::Null => self.values.iter().any(|value| value == "false"),
            Operator::Equals => found.iter().all(equal),
            Operator::NotEquals => !found.iter().any(equal),
            Operator::Like | Operator::All => found.iter().all(like),
            Operator::NotLike => !found.iter().any(like),
            Operator::Any => found.iter().any(like),
        }
    }
}

fn odd(what: String) -> RigError {
    RigError::Output(format!("a policy that the proxy cannot enforce: {what}"))
}

fn statement(value: &Value) -> Result<Statement, RigError> {
    let fields = value.as_object().ok_or_else(|| odd(format!("no statement: {value}")))?;
    const KNOWN: &[&str] = &["Sid", "Effect", "Action", "Resource", "Condition"];
    if let Some(unknown) = fields.keys().find(|field| !KNOWN.contains(&field.as_str())) {
        return Err(odd(unknown.clone()));
    }
    let allows = match value["Effect"].as_str() {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(odd(format!("Effect {}", value["Effect"]))),
    };
    let mut conditions = Vec::new();
    for (operator, keys) in value["Condition"].as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().into_iter().flatten() {
            conditions.push(condition(operator, key, strings(values)?)?);
        }
    }
    Ok(Statement {
        allows,
        actions: strings(&value["Action"])?,
        resources: strings(&value["Resource"])?,
        conditions,
    })
}

fn condition(written: &str, key: &str, values: Vec<String>) -> Result<Condition, RigError> {
    let (name, if_exists) = match written.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (written, false),
    };
    let operator = match name {
        "StringEquals" | "Bool" => Operator::Equals,
        "StringNotEquals" => Operator::NotEquals,
        "StringLike" | "ArnLike" | "ArnEquals" => Operator::Like,
        "StringNotLike" => Operator::NotLike,
        "ForAllValues:StringEquals" | "ForAllValues:StringLike" => Operator::All,
        "ForAnyValue:StringEquals" | "ForAnyValue:StringLike" => Operator::Any,
        "Null" => Operator::Null,
        _ => return Err(odd(format!("the operator {written}"))),
    };
    if !super::gate::KEYS.contains(&key)
        && !key.starts_with("aws:ResourceTag/")
        && !key.starts_with("aws:RequestTag/")
    {
        return Err(odd(format!("the condition key {key}")));
    }
    Ok(Condition { operator, if_exists, key: key.to_owned(), values })
}

/// One string or several.
fn strings(value: &Value) -> Result<Vec<String>, RigError> {
    let string = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(odd(format!("no string: {other}"))),
    };
    match value {
        Value::Array(values) => values.iter().map(string).collect(),
        one => string(one).map(|one| vec![one]),
    }
}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(after) = skip(first, rest) else { return false };
    rest = after;
    let mut pieces = pieces.peekable();
    let mut ends_open = pieces.peek().is_none() && rest.is_empty();
    while let Some(piece) = pieces.next() {
        let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        let is_last = pieces.peek().is_none();
        let mut fits = starts.filter_map(|at| skip(piece, &rest[at..]));
        let after = match is_last {
            true => fits.find(|after| after.is_empty()).or_else(|| piece.is_empty().then_some("")),
            false => fits.next(),
        };
        let Some(after) = after else { return false };
        rest = after;
        ends_open = is_last;
    }
    ends_open
}

/// What follows in `text` after a piece without `*`.
fn skip<'t>(piece: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text.chars();
    for wanted in piece.chars() {
        let is = rest.next()?;
        if wanted != '?' && wanted != is {
            return None;
        }
    }
    Some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_iam_has_them() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("kms:Sign", "kms:Sign", true),
            ("kms:Sign", "kms:SignX", false),
            ("kms:*Key", "kms:CreateKeyKey", true),
            ("kms:*Key", "kms:CreateKeys", false),
            ("arn:aws:kms:*:1:key/*", "arn:aws:kms:eu-west-1:1:key/mrk-2", true),
            ("arn:aws:kms:*:1:key/*", "arn:aws:kms:eu-west-1:2:key/x", false),
            ("alias/a?c", "alias/abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn a_statement_needs_action_resource_and_conditions() {
        let policy = Policy::read(
            r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["kms:Sign"], "Resource": "arn:*",
                 "Condition": {"StringEquals": {"aws:ResourceTag/role": ["root", "services"]}}},
                {"Effect": "Deny", "Action": "kms:*", "Resource": "arn:no*"}]}"#,
        )
        .unwrap();
        let judge = |action: &str, resource: &str, role: Option<&str>| {
            let tag = role.map(|role| ("aws:ResourceTag/role".to_owned(), vec![role.to_owned()]));
            let context = tag.into_iter().collect();
            policy.judge(&Question { action: action.to_owned(), resource, context: &context })
        };
        assert_eq!(judge("kms:Sign", "arn:yes", Some("root")), Verdict::Allowed);
        assert_eq!(judge("kms:Sign", "arn:yes", Some("other")), Verdict::Silent);
        assert_eq!(judge("kms:Sign", "arn:yes", None), Verdict::Silent);
        assert_eq!(judge("kms:GetPublicKey", "arn:yes", Some("root")), Verdict::Silent);
        assert_eq!(judge("kms:Sign", "arn:no", Some("root")), Verdict::Denied);
    }

    #[test]
    fn what_is_not_enforced_is_an_error() {
        let read = |condition: &str| {
            Policy::read(&format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "kms:Sign", "Resource": "*",
                    "Condition": {condition}}}}}"#
            ))
        };
        assert!(read(r#"{"Bool": {"kms:MultiRegion": "true"}}"#).is_ok());
        let error = read(r#"{"IpAddress": {"aws:SourceIp": "1.2.3.4"}}"#).unwrap_err().to_string();
        assert!(error.contains("IpAddress"), "{error}");
        let error = read(r#"{"StringEquals": {"aws:SourceVpce": "x"}}"#).unwrap_err().to_string();
        assert!(error.contains("aws:SourceVpce"), "{error}");
    }
}
