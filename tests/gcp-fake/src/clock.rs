//! The service's clock: the system's, and what a test has put it forward by.

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// The clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead: std::time::Duration,
}

impl Clock {
    pub(crate) fn now(&self) -> OffsetDateTime {
        later(OffsetDateTime::now_utc(), self.ahead.as_secs())
    }

    pub(crate) fn advance(&mut self, time: std::time::Duration) {
        self.ahead += time;
    }
}

/// So many seconds later.
pub(crate) fn later(time: OffsetDateTime, seconds: u64) -> OffsetDateTime {
    time.saturating_add(Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

/// A google.protobuf.Timestamp in JSON.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    // Only years of more than four digits can't be written.
    time.format(&Rfc3339).unwrap_or_default()
}
