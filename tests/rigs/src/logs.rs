//! Log lines as a machine reads them, and the list of lines that operators rely on.

use crate::RigError;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{fs, path::Path};

/// One log line, of either form.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// `info`, `warn` and so on.
    pub level: String,
    /// `catalyst.pki` and so on.
    pub category: String,
    /// The message.
    pub message: String,
    /// The properties.
    pub properties: Map<String, Value>,
    /// The line itself.
    pub raw: String,
}

impl LogLine {
    /// Reads a line of either form; `None` if it is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        Self::parse_json(line).or_else(|| Self::parse_pretty(line))
    }

    /// A property that is text.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str()
    }

    fn parse_json(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            level: text("level")?,
            category: text("category")?,
            message: text("message")?,
            properties: value.get("properties")?.as_object()?.clone(),
            raw: line.into(),
        })
    }

    /// `HH:MM:SS.mmm LEVEL   category: message {json}`
    fn parse_pretty(line: &str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (level, rest) = rest.split_once(' ')?;
        let (category, rest) = rest.trim_start().split_once(": ")?;
        let (message, properties) = match rest.split_once(" {") {
            Some((message, members)) => (message, serde_json::from_str(&format!("{{{members}")).ok()?),
            None => (rest, Map::new()),
        };
        (time.len() == 12 && time.ends_with(|c: char| c.is_ascii_digit())).then(|| Self {
            level: level.to_lowercase(),
            category: category.into(),
            message: message.into(),
            properties,
            raw: line.into(),
        })
    }
}

/// The lines whose category, level, message and property names operators rely on.
#[derive(Debug)]
pub struct Golden(Vec<GoldenLine>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenLine {
    category: String,
    level: String,
    /// A `*` at its end stands for any text.
    message: String,
    properties: Vec<String>,
}

impl GoldenLine {
    fn is(&self, message: &str) -> bool {
        match self.message.strip_suffix('*') {
            Some(beginning) => message.starts_with(beginning),
            None => message == self.message,
        }
    }

    /// What differs; properties may be added, and none may be missing.
    fn difference(&self, line: &LogLine) -> Option<String> {
        let missing: Vec<_> =
            self.properties.iter().filter(|name| !line.properties.contains_key(*name)).collect();
        let same = line.category == self.category && line.level == self.level && missing.is_empty();
        (!same).then(|| {
            format!("{}\n  wanted {} {} with {:?}", line.raw, self.level, self.category, self.properties)
        })
    }
}

impl Golden {
    /// Reads the list.
    ///
    /// # Errors
    /// The file can't be read, or is not of the expected form.
    pub fn read(path: &Path) -> Result<Self, RigError> {
        let text = fs::read_to_string(path).map_err(|source| RigError::File { path: path.into(), source })?;
        serde_json::from_str(&text).map(Self).map_err(|error| RigError::Output(error.to_string()))
    }

    /// How these lines differ from the list; lines that are not in it don't matter.
    #[must_use]
    pub fn differences(&self, lines: &[LogLine]) -> Vec<String> {
        let known = |line: &LogLine| self.0.iter().find(|golden| golden.is(&line.message))?.difference(line);
        lines.iter().filter_map(known).collect()
    }

    /// The messages of the list that are in none of these lines.
    #[must_use]
    pub fn unseen(&self, lines: &[LogLine]) -> Vec<&str> {
        let seen = |golden: &&GoldenLine| lines.iter().any(|line| golden.is(&line.message));
        self.0.iter().filter(|golden| !seen(golden)).map(|golden| golden.message.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Golden {
        Golden::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../golden/log-lines.json"))).unwrap()
    }

    #[test]
    fn both_forms_of_a_line_read_the_same() {
        let pretty = LogLine::parse(
            r#"09:00:01.456 WARN    catalyst.pki: Identity denied {"spiffe_id":"spiffe://a/node/b","reason":"x {y}"}"#,
        );
        let json = LogLine::parse(
            r#"{"timestamp":1,"level":"warn","category":"catalyst.pki","message":"Identity denied","properties":{"spiffe_id":"spiffe://a/node/b","reason":"x {y}"}}"#,
        );
        let (pretty, json) = (pretty.unwrap(), json.unwrap());
        assert_eq!(
            (&pretty.level, &pretty.category, &pretty.message, &pretty.properties),
            (&json.level, &json.category, &json.message, &json.properties)
        );
        assert!(LogLine::parse("error: port in use").is_none());
        assert!(golden().differences(&[pretty, json]).is_empty());
    }

    #[test]
    fn a_renamed_property_or_another_level_is_found() {
        let renamed = LogLine::parse(
            r#"09:00:01.456 WARN    catalyst.pki: Identity denied {"spiffeId":"a","reason":"x"}"#,
        );
        let louder = LogLine::parse(
            r#"09:00:01.456 ERROR   catalyst.pki: Identity denied {"spiffe_id":"a","reason":"x"}"#,
        );
        let unknown = LogLine::parse("09:00:01.456 INFO    catalyst.pki: Something else");
        let lines = [renamed, louder, unknown].map(Option::unwrap);
        assert_eq!(golden().differences(&lines).len(), 2);
        assert!(!golden().unseen(&lines).contains(&"Identity denied"));
        assert!(golden().unseen(&lines).contains(&"Certificate issued"));
    }
}
