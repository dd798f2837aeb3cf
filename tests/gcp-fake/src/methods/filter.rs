//! The language of filters (cloud.google.com/kms/docs/sorting-and-filtering): comparisons of fields, `AND` (or a
//! space), `OR`, which binds closer, `NOT` or `-`, parentheses.

use crate::{fields::camel_case, refused::Refused};
use serde_json::Value;
use std::iter::Peekable;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A filter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Compare { field: String, operator: Operator, value: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: [&str; 11] = ["!=", "<=", ">=", "=>", "=", "<", ">", ":", "(", ")", "-"];

impl Filter {
    /// An empty text takes all.
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        let mut tokens = tokens(text).into_iter().peekable();
        let filter = all(&mut tokens).filter(|_| tokens.peek().is_none());
        filter.ok_or_else(|| Refused::invalid(&format!("Invalid filter: {text}")))
    }

    /// Whether it is empty.
    pub(super) fn takes_all(&self) -> bool {
        *self == Self::All(Vec::new())
    }

    /// Whether it takes this message, in which enumerations are names.
    pub(super) fn takes(&self, message: &Value) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.takes(message)),
            Self::Any(parts) => parts.iter().any(|part| part.takes(message)),
            Self::Not(part) => !part.takes(message),
            Self::Compare { field, operator, value } => {
                let found = find(message, field);
                found.is_some_and(|found| operator.holds(&found, value))
            }
        }
    }
}

impl Operator {
    fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Equal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" | "=>" => Self::GreaterOrEqual,
            ":" => Self::Contains,
            _ => return None,
        })
    }

    fn holds(self, found: &str, value: &str) -> bool {
        let order = match (time(found), time(value)) {
            (Some(found), Some(value)) => found.cmp(&value),
            _ => found.cmp(value),
        };
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Contains => found.to_lowercase().contains(&value.to_lowercase()),
        }
    }
}

fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// `labels.team` and `version_template.algorithm`. A label's key is taken as it is.
fn find(message: &Value, field: &str) -> Option<String> {
    let found = match field.split_once('.') {
        Some(("labels", key)) => message["labels"].get(key),
        _ => field.split('.').try_fold(message, |message, part| message.get(camel_case(part))),
    }?;
    found.as_str().map(str::to_owned).or_else(|| Some(found.to_string()))
}

type Tokens = Peekable<std::vec::IntoIter<Token>>;

fn all(tokens: &mut Tokens) -> Option<Filter> {
    let mut parts = Vec::new();
    while tokens.peek().is_some_and(|token| *token != Token::Symbol(")")) {
        if !parts.is_empty() {
            take_word(tokens, "AND");
        }
        parts.push(any(tokens)?);
    }
    Some(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
}

fn any(tokens: &mut Tokens) -> Option<Filter> {
    let mut parts = vec![one(tokens)?];
    while take_word(tokens, "OR") {
        parts.push(one(tokens)?);
    }
    Some(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
}

fn one(tokens: &mut Tokens) -> Option<Filter> {
    if take_word(tokens, "NOT") || tokens.next_if_eq(&Token::Symbol("-")).is_some() {
        return Some(Filter::Not(Box::new(one(tokens)?)));
    }
    if tokens.next_if_eq(&Token::Symbol("(")).is_some() {
        let inner = all(tokens)?;
        return (tokens.next()? == Token::Symbol(")")).then_some(inner);
    }
    let (Token::Word(field), Token::Symbol(symbol)) = (tokens.next()?, tokens.next()?) else { return None };
    let (Token::Word(value) | Token::Quoted(value)) = tokens.next()? else { return None };
    if symbol == "!=" {
        let operator = Operator::Equal;
        return Some(Filter::Not(Box::new(Filter::Compare { field, operator, value })));
    }
    Some(Filter::Compare { field, operator: Operator::of(symbol)?, value })
}

fn take_word(tokens: &mut Tokens, word: &str) -> bool {
    tokens.next_if(|token| matches!(token, Token::Word(found) if found == word)).is_some()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
        let (token, tail) = if let Some(quoted) = rest.strip_prefix('"') {
            let (value, tail) = quoted.split_once('"').unwrap_or((quoted, ""));
            (Token::Quoted(value.into()), tail)
        } else if let Some(symbol) = symbol {
            (Token::Symbol(symbol), &rest[symbol.len()..])
        } else {
            // A hyphen within a word belongs to it.
            let ends = |letter: char| letter.is_whitespace() || "!=<>:()\"".contains(letter);
            let end = rest.find(ends).unwrap_or(rest.len());
            // A lone exclamation mark is no token: it is a word of its own, and an error where it stands.
            let (word, tail) = rest.split_at(end.max(1));
            (Token::Word(word.into()), tail)
        };
        tokens.push(token);
        rest = tail.trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use serde_json::json;

    #[test]
    fn filters_are_as_documented() {
        let message = json!({
            "name": "projects/p/x",
            "state": "ENABLED",
            "labels": {"team": "alpha", "a-b_c": "1"},
            "versionTemplate": {"algorithm": "EC_SIGN_P384_SHA384"},
            "createTime": "2026-06-20T01:30:15.5Z",
        });
        let takes = |filter: &str| Filter::parse(filter).unwrap().takes(&message);
        for filter in [
            "",
            "labels.team=alpha",
            "labels.a-b_c = 1 AND state=ENABLED",
            "state=DISABLED OR state=ENABLED labels.team:ALP",
            "version_template.algorithm=EC_SIGN_P384_SHA384",
            "versionTemplate.algorithm:\"p384\"",
            "NOT state=DISABLED -labels.team=beta (name:p OR name:q)",
            "labels.other!=x",
            "createTime>\"2026-06-20T01:30:15Z\"",
        ] {
            assert!(takes(filter), "{filter}");
        }
        for filter in
            ["labels.team=beta", "labels.other=x", "state!=ENABLED", "labels.team=alpha AND state=DISABLED"]
        {
            assert!(!takes(filter), "{filter}");
        }
        for filter in ["labels.team", "=", "(state=ENABLED", "state==", "state=ENABLED)", "!state"] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
    }
}
