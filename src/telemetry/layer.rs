//! From `tracing` events to log lines.

use super::line::{Line, LogFormat, Severity};
use std::{fmt, io::Write as _, time::SystemTime};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Renders every event and hands the line to `sink`. The category is the event's target.
pub(super) struct LogLayer<S> {
    format: LogFormat,
    colour: bool,
    sink: S,
}

impl<S: Fn(Vec<u8>) + 'static> LogLayer<S> {
    pub(super) fn new(format: LogFormat, colour: bool, sink: S) -> Self {
        Self { format, colour, sink }
    }
}

/// The trace that a span belongs to, in hex.
struct SpanIds {
    trace_id: String,
    span_id: String,
}

impl<R, S> Layer<R> for LogLayer<S>
where
    R: Subscriber + for<'a> LookupSpan<'a>,
    S: Fn(Vec<u8>) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, R>) {
        let mut ids = SpanIdVisitor::default();
        attributes.record(&mut ids);
        if let (Some(trace_id), Some(span_id), Some(span)) = (ids.trace_id, ids.span_id, context.span(id)) {
            span.extensions_mut().insert(SpanIds { trace_id, span_id });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, R>) {
        let mut fields = EventVisitor::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut line = Line {
            at: SystemTime::now(),
            severity: Severity::of(*metadata.level(), fields.critical),
            category: metadata.target(),
            message: &fields.message,
            properties: &fields.properties,
            trace: None,
        };
        let nearest = context
            .event_scope(event)
            .and_then(|mut scope| scope.find(|span| span.extensions().get::<SpanIds>().is_some()));
        let rendered = match &nearest {
            None => line.render(self.format, self.colour),
            Some(span) => {
                let extensions = span.extensions();
                line.trace =
                    extensions.get::<SpanIds>().map(|ids| (ids.trace_id.as_str(), ids.span_id.as_str()));
                line.render(self.format, self.colour)
            }
        };
        (self.sink)(rendered);
    }
}

#[derive(Default)]
struct SpanIdVisitor {
    trace_id: Option<String>,
    span_id: Option<String>,
}

impl Visit for SpanIdVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "trace_id" => self.trace_id = Some(format!("{value:?}")),
            "span_id" => self.span_id = Some(format!("{value:?}")),
            _ => {}
        }
    }
}

/// Collects the message and the properties in the order in which they were written. Numbers stay numbers.
#[derive(Default)]
struct EventVisitor {
    message: String,
    properties: Vec<u8>,
    critical: bool,
}

impl EventVisitor {
    /// Writes the name of the next member. Writing to a Vec cannot fail, so results say nothing here and below.
    fn name(&mut self, field: &Field) -> &mut Vec<u8> {
        if !self.properties.is_empty() {
            self.properties.push(b',');
        }
        let _ = serde_json::to_writer(&mut self.properties, field.name().trim_start_matches("r#"));
        self.properties.push(b':');
        &mut self.properties
    }

    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        let _ = write!(self.name(field), "{value}");
    }
}

impl Visit for EventVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            let _ = serde_json::to_writer(self.name(field), &format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.into();
        } else {
            let _ = serde_json::to_writer(self.name(field), value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "critical" {
            self.critical = value;
        } else {
            self.number(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinities; serde_json writes null for them.
        let _ = serde_json::to_writer(self.name(field), &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let _ = serde_json::to_writer(self.name(field), &value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::TraceContext, *};
    use serde_json::Value;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    fn logged(format: LogFormat, colour: bool, act: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let layer = LogLayer::new(format, colour, move |line| sink.lock().unwrap().extend(line));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        // Other tests' threads may still hold the subscriber for a moment, so the lines have another owner.
        let lines = lines.lock().unwrap().clone();
        String::from_utf8(lines).unwrap()
    }

    /// The line without its time of day.
    fn pretty(act: impl FnOnce()) -> String {
        let line = logged(LogFormat::Pretty, false, act);
        let (time, rest) = line.split_once(' ').unwrap();
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "00:00:00.000");
        rest.to_owned()
    }

    #[test]
    fn a_pretty_line_has_the_shape_operators_know() {
        let line = pretty(|| {
            tracing::info!(
                target: "catalyst.pki",
                fingerprint = "abc",
                ttl_seconds = 3600_u64,
                "Certificate issued"
            );
        });
        assert_eq!(
            line,
            "INFO    catalyst.pki: Certificate issued {\"fingerprint\":\"abc\",\"ttl_seconds\":3600}\n"
        );
    }

    #[test]
    fn a_pretty_line_without_properties_has_no_braces() {
        let token = "eyJ.a.b";
        let line = pretty(|| tracing::warn!(target: "catalyst.auth", "System Admin Token: {token}"));
        assert_eq!(line, "WARN    catalyst.auth: System Admin Token: eyJ.a.b\n");
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_in_order() {
        let line = logged(LogFormat::Json, false, || {
            tracing::debug!(target: "catalyst.pki", z = -1_i64, a = 0.5, ok = true, text = %"x\"y", "Zustände");
        });
        let (head, tail) = line.split_once(",\"level\"").unwrap();
        assert!(head.strip_prefix("{\"timestamp\":").unwrap().parse::<u64>().unwrap() > 1_700_000_000_000);
        assert_eq!(
            tail,
            ":\"debug\",\"category\":\"catalyst.pki\",\"message\":\"Zustände\",\
             \"properties\":{\"z\":-1,\"a\":0.5,\"ok\":true,\"text\":\"x\\\"y\"}}\n"
        );
    }

    #[test]
    fn critical_is_a_level_and_no_property() {
        let act = || tracing::error!(target: "catalyst.pki", critical = true, left = 5_u64, "CA ends");
        let json: Value = serde_json::from_str(&logged(LogFormat::Json, false, act)).unwrap();
        assert_eq!(json["level"], "critical");
        assert_eq!(json["properties"], serde_json::json!({"left": 5}));
        assert!(pretty(act).starts_with("CRITICAL catalyst.pki: CA ends"));
    }

    #[test]
    fn lines_inside_a_traced_span_name_the_trace() {
        let parent =
            TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
                .unwrap();
        let line = logged(LogFormat::Json, false, || {
            let _request = parent.span().entered();
            let _inner = tracing::info_span!(target: "catalyst.pki", "inner").entered();
            tracing::info!(target: "catalyst.pki", "Certificate issued");
        });
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(json["span_id"], "00f067aa0ba902b7");
    }

    #[test]
    fn a_line_outside_any_trace_has_no_trace_fields() {
        let line = logged(LogFormat::Json, false, || tracing::info!(target: "catalyst.pki", "x"));
        assert!(!line.contains("trace_id"));
        assert!(line.ends_with("\"properties\":{}}\n"));
    }

    #[test]
    fn no_text_can_start_a_second_line_or_drive_a_terminal() {
        let hostile = "a\n00:00:00.000 ERROR\x1b[2J";
        let line = pretty(|| tracing::info!(target: "catalyst.pki", value = hostile, "{hostile}"));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\x1b'));
    }

    #[test]
    fn colour_appears_only_when_asked_for() {
        let act = || tracing::info!(target: "catalyst.pki", "x");
        assert!(logged(LogFormat::Pretty, true, act).contains("\x1b[32mINFO   \x1b[0m catalyst.pki: x"));
    }
}
