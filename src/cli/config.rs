//! `catalyst config`: what holds, and where it comes from.

use super::Output;
use crate::settings::{self, Settings, Table};

/// The effective values. Secrets are never among them.
pub(super) fn render(table: &Table, settings: &Settings, output: Output) -> String {
    match output {
        Output::Json => format!("{:#}\n", settings::json(table, &settings.values)),
        Output::Text => settings::text(table, &settings.values),
        Output::Markdown => settings::markdown(table),
    }
}
