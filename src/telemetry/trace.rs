//! W3C trace context: which distributed trace a request belongs to.

use std::fmt;

/// A position in a distributed trace (W3C Trace Context, `traceparent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

impl TraceContext {
    /// Reads a `traceparent` header; `None` if it is not one, which the standard says to ignore.
    #[must_use]
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let [version] = bytes(parts.next()?)?;
        let (trace_id, span_id) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let [_flags] = bytes::<1>(parts.next()?)?;
        let valid = version != 0xff
            && (version != 0 || parts.next().is_none())
            && trace_id != [0; 16]
            && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id })
    }

    /// A span of this service under the caller's.
    #[must_use]
    pub fn child(self) -> Self {
        let mut span_id = [0; 8];
        // Without random bytes the lines still carry the caller's span, which is better than none.
        match aws_lc_rs::rand::fill(&mut span_id) {
            Ok(()) => Self { span_id, ..self },
            Err(_) => self,
        }
    }

    /// A span in which every log line carries this trace. It is enabled at every log level.
    #[must_use]
    pub fn span(self) -> tracing::Span {
        tracing::error_span!(
            target: "catalyst.trace",
            "request",
            trace_id = %Hex(&self.trace_id),
            span_id = %Hex(&self.span_id),
        )
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
    let mut bytes = [0; N];
    if !odd.is_empty() || pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_child_stays_in_the_trace() {
        let parent = TraceContext::from_traceparent(GOOD).unwrap();
        let child = parent.child();
        assert_eq!(child.trace_id, parent.trace_id);
        assert_ne!(child.span_id, parent.span_id);
    }

    #[test]
    fn later_versions_may_append() {
        let later = format!("01{}-more", &GOOD[2..]);
        assert!(TraceContext::from_traceparent(&later).is_some());
        assert!(TraceContext::from_traceparent(&format!("{GOOD}-more")).is_none());
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        let bad = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-é",
        ];
        for header in bad {
            assert_eq!(TraceContext::from_traceparent(header), None, "{header:?}");
        }
    }
}
