//! What the service tells its operators: log lines on standard error, and metrics.

mod layer;
mod line;
mod metrics;
mod push;
mod trace;
mod writer;

pub use line::{LogFormat, LogLevel, UnknownWord};
pub use metrics::{BackupFigures, CertType, Elsewhere, ElsewhereChanges, KeyHealth, Metrics};
pub use trace::TraceContext;
pub use writer::LogGuard;

use layer::LogLayer;
use std::io::{self, IsTerminal as _};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _};

/// Telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// Logs go somewhere already.
    #[error("logs were set up twice in one process")]
    SecondLog,
    /// The thread that writes logs can't be started.
    #[error("cannot start the thread that writes logs: {0}")]
    Thread(#[source] io::Error),
    /// The instruments can't be registered.
    #[error("cannot set up metrics: {0}")]
    Metrics(String),
    /// The collector's address can't be used.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is '{0}': this service pushes metrics over plain HTTP only, so name an http:// \
         endpoint such as a collector on this machine, or unset it and scrape /metrics"
    )]
    Endpoint(String),
}

/// Sends the log of this process to standard error. Lines still queued are written when the guard is dropped.
///
/// Standard output stays free for results. Categories that begin with `catalyst` are logged from `level`, those of
/// libraries from WARN.
///
/// # Errors
/// Logs go somewhere already, or no thread can be started.
pub fn init_logs(format: LogFormat, level: LogLevel) -> Result<LogGuard, TelemetryError> {
    let (writer, guard) = writer::start(io::stderr(), move |count| line::dropped(format, count))
        .map_err(TelemetryError::Thread)?;
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let level = LevelFilter::from(level);
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("catalyst", level);
    let layer = LogLayer::new(format, colour, move |line| writer.send(line)).with_filter(filter);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
        .map_err(|_| TelemetryError::SecondLog)?;
    Ok(guard)
}
