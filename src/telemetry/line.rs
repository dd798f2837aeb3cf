//! One log line: `HH:MM:SS.mmm LEVEL   category: message {json}` for people, one JSON object for machines.

use std::{fmt, io::Write as _, str::FromStr, time::SystemTime};
use tracing::{Level, level_filters::LevelFilter};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator wants to read.
    Info,
    /// What wants attention.
    Warn,
    /// What went wrong.
    Error,
}

/// The text names no log format or level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no log format or level has this name")]
pub struct UnknownWord;

impl FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for LogLevel {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(UnknownWord),
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Info => Self::INFO,
            LogLevel::Warn => Self::WARN,
            LogLevel::Error => Self::ERROR,
        }
    }
}

/// How bad it is. `Critical` has no level in `tracing`: it is an ERROR event with the field `critical = true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl Severity {
    pub(super) fn of(level: Level, critical: bool) -> Self {
        match level {
            Level::ERROR if critical => Self::Critical,
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// Padded to seven characters.
    fn column(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG  ",
            Self::Info => "INFO   ",
            Self::Warn => "WARN   ",
            Self::Error => "ERROR  ",
            Self::Critical => "CRITICAL",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Debug => "\x1b[2m",
            Self::Info => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Error => "\x1b[31m",
            Self::Critical => "\x1b[1;31m",
        }
    }
}

/// What a line says; `properties` are the members of a JSON object without its braces.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) at: SystemTime,
    pub(super) severity: Severity,
    pub(super) category: &'a str,
    pub(super) message: &'a str,
    pub(super) properties: &'a [u8],
    /// Trace id and span id, in hex.
    pub(super) trace: Option<(&'a str, &'a str)>,
}

// Writing to a Vec cannot fail, so the results of `write!` say nothing below.
impl Line<'_> {
    pub(super) fn render(&self, format: LogFormat, colour: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(160 + self.properties.len());
        match format {
            LogFormat::Pretty => self.pretty(&mut out, colour),
            LogFormat::Json => self.json(&mut out),
        }
        out.push(b'\n');
        out
    }

    fn pretty(&self, out: &mut Vec<u8>, colour: bool) {
        let ms = self.millis();
        let (seconds, ms) = (ms / 1000 % 86_400, ms % 1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let _ = write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{ms:03} ");
        let level = self.severity.column();
        let _ = if colour {
            write!(out, "{}{level}\x1b[0m", self.severity.colour())
        } else {
            out.write_all(level.as_bytes())
        };
        let _ = write!(out, " {}: {}", self.category, OneLine(self.message));
        if !self.properties.is_empty() {
            out.extend_from_slice(b" {");
            put_properties(out, self.properties);
            out.push(b'}');
        }
    }

    fn json(&self, out: &mut Vec<u8>) {
        let _ =
            write!(out, r#"{{"timestamp":{},"level":"{}","category":"#, self.millis(), self.severity.name());
        let _ = serde_json::to_writer(&mut *out, self.category);
        out.extend_from_slice(br#","message":"#);
        let _ = serde_json::to_writer(&mut *out, self.message);
        out.extend_from_slice(br#","properties":{"#);
        put_properties(out, self.properties);
        out.push(b'}');
        if let Some((trace_id, span_id)) = self.trace {
            out.extend_from_slice(br#","trace_id":"#);
            let _ = serde_json::to_writer(&mut *out, trace_id);
            out.extend_from_slice(br#","span_id":"#);
            let _ = serde_json::to_writer(&mut *out, span_id);
        }
        out.push(b'}');
    }

    fn millis(&self) -> u128 {
        self.at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis())
    }
}

/// The line that says that others were lost.
pub(super) fn dropped(format: LogFormat, count: u64) -> Vec<u8> {
    Line {
        at: SystemTime::now(),
        severity: Severity::Warn,
        category: "catalyst.telemetry",
        message: "Log lines dropped — standard error is not read fast enough",
        properties: format!(r#""count":{count}"#).as_bytes(),
        trace: None,
    }
    .render(format, false)
}

/// Properties with what JSON leaves as it is and terminals obey: DEL, the second row of control characters, and those
/// that turn the text around. Names of properties are ours, so that all of it stands in strings, where `\u` holds.
fn put_properties(out: &mut Vec<u8>, properties: &[u8]) {
    // The first octets of what is looked for; few lines have any.
    let steers = |octet: &u8| matches!(octet, 0x7f | 0xc2 | 0xe2);
    match std::str::from_utf8(properties) {
        Ok(text) if properties.iter().any(steers) => {
            for c in text.chars() {
                let turns =
                    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                let _ = match c {
                    _ if turns || c.is_control() => write!(out, "\\u{:04x}", u32::from(c)),
                    c => write!(out, "{c}"),
                };
            }
        }
        _ => out.extend_from_slice(properties),
    }
}

/// Text without control characters, so that what a client sent can't forge a line or drive a terminal.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { fmt::Write::write_char(f, c) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_steers_no_terminal() {
        let sent = "a\u{9b}31m\u{7f}\u{202e}b\u{1b}é—";
        let properties = format!(r#""reason":{}"#, serde_json::to_string(sent).unwrap());
        for format in [LogFormat::Pretty, LogFormat::Json] {
            let line = Line {
                at: SystemTime::UNIX_EPOCH,
                severity: Severity::Warn,
                category: "catalyst.pki",
                message: "Identity denied",
                properties: properties.as_bytes(),
                trace: None,
            };
            let line = String::from_utf8(line.render(format, false)).unwrap();
            assert!(line.trim_end().chars().all(|c| !c.is_control() && c != '\u{202e}'), "{line:?}");
            let object = &line[line.find(r#"{"reason"#).unwrap()..];
            let object = object.trim_end();
            let object = if format == LogFormat::Json { &object[..object.len() - 1] } else { object };
            let read: serde_json::Value = serde_json::from_str(object).unwrap();
            assert_eq!(read["reason"], sent);
        }
    }
}
