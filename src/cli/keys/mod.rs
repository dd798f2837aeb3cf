//! `catalyst pki keys …`

mod export;
mod import;
mod reconcile;

pub(super) use export::Export;
pub(super) use import::Import;
pub(super) use reconcile::reconcile;

use super::{arguments::Output, backup::Trouble};
use crate::{
    backup::BackupError,
    settings::{Inputs, Settings, Table},
};
use std::process::ExitCode;

/// What is to be done with key files, without the service.
#[derive(Debug)]
pub(super) enum Task {
    Export(Export),
    Import(Import),
}

pub(super) fn run(table: &Table, task: Task, form: Output) -> ExitCode {
    let done = match task {
        Task::Export(export) => export.run(table, form),
        Task::Import(import) => import.run(table, form),
    };
    done.unwrap_or_else(Trouble::report)
}

/// The settings, with the passphrase of local keys.
fn settings(table: &Table, inputs: &Inputs) -> Result<Settings, Trouble> {
    let mut settings = Settings::read(table, inputs)?;
    settings.secure_passphrase()?;
    Ok(settings)
}

fn wrong(sentence: impl Into<String>) -> Trouble {
    BackupError::Usage(sentence.into()).into()
}
