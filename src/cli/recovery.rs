//! `catalyst pki recovery confirm`

use super::{
    arguments::Output,
    output::{json, ok, print},
};
use crate::{
    api::{ConfirmRecoveryRequest, RecoveryConfirmed},
    client::{Client, Result, printable},
};
use std::process::ExitCode;

pub(super) async fn confirm(client: &Client, form: Output) -> Result<ExitCode> {
    let wanted = ConfirmRecoveryRequest { old_instance_is_gone: true };
    let answer: RecoveryConfirmed = client.post("/pki/recovery/confirm", &wanted).await?;
    Ok(print(&match form {
        Output::Json => json(&answer)?,
        Output::Text | Output::Markdown => text(&answer),
    }))
}

fn text(answer: &RecoveryConfirmed) -> String {
    match &answer.recovery {
        None => format!("{} No restore waits to be confirmed\n", ok()),
        Some(recovery) => format!(
            "{} Recovery confirmed, certificates are issued again:\n  Backup of:   {}\n  Restored at: {}\n",
            ok(),
            printable(&recovery.snapshot_at),
            printable(&recovery.restored_at),
        ),
    }
}
