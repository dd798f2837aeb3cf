//! The markdown table.

use crate::{cryptography::Cryptography, load::Seen};
use std::{fmt, time::Duration};

/// One line. What does not apply stays empty.
#[derive(Debug, Default)]
pub(crate) struct Row {
    what: String,
    per_second: Option<f64>,
    latency: Option<(Duration, Duration)>,
    cpu: Option<Duration>,
    /// The figure that is to be read, a ratio mostly.
    figure: String,
    target: &'static str,
}

impl Row {
    pub(crate) fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    pub(crate) fn seen(what: impl Into<String>, seen: &Seen) -> Self {
        Self {
            per_second: Some(seen.per_second()),
            latency: Some((seen.within(0.5), seen.within(0.99))),
            cpu: Some(seen.cpu),
            ..Self::of(what)
        }
    }

    /// Where the service did other things besides.
    pub(crate) fn without_cpu(mut self) -> Self {
        self.cpu = None;
        self
    }

    pub(crate) fn cpu(mut self, cpu: Duration) -> Self {
        self.cpu = Some(cpu);
        self
    }

    /// With the CPU time as a multiple of the cryptography's.
    pub(crate) fn held_against(mut self, cryptography: Cryptography) -> Self {
        if let Some(cpu) = self.cpu {
            let budget = cryptography.budget();
            let ratio = cpu.as_secs_f64() / budget.as_secs_f64();
            self.figure = format!("{ratio:.2} × cryptography ({} µs)", budget.as_micros());
        }
        self
    }

    pub(crate) fn figure(mut self, figure: String) -> Self {
        self.figure = figure;
        self
    }

    pub(crate) fn target(mut self, target: &'static str) -> Self {
        self.target = target;
        self
    }
}

/// All lines, in order. Each is also told on standard error when it is known, since a run takes minutes.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        eprintln!("{row}");
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | per second | p50 | p99 | CPU each | figure | target |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | --- | --- |")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.per_second.map(|rate| format!("{rate:.0}")).unwrap_or_default();
        let (p50, p99) = self.latency.map(|(p50, p99)| (time(p50), time(p99))).unwrap_or_default();
        let cpu = self.cpu.map(time).unwrap_or_default();
        write!(f, "| {} | {rate} | {p50} | {p99} | {cpu} | {} | {} |", self.what, self.figure, self.target)
    }
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        micros @ ..1000 => format!("{micros} µs"),
        micros => format!("{:.2} ms", micros as f64 / 1000.0),
    }
}
