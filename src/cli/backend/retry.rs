//! `catalyst backend retry`

use super::super::{
    arguments::Output,
    exit::FAILED,
    output::{self, json, print},
};
use crate::{
    api::{RetriedKey, RetriedKeys, RetryRequest},
    client::{Client, Result},
};
use std::process::ExitCode;

pub(in crate::cli) async fn run(client: &Client, request: &RetryRequest, form: Output) -> Result<ExitCode> {
    let tried: RetriedKeys = client.post("/pki/backends/retry", request).await?;
    let printed = print(&match form {
        Output::Json => json(&tried)?,
        Output::Text | Output::Markdown => {
            let rows: Vec<_> = tried.keys.iter().map(row).collect();
            output::rows(["NAME", "KEY STORE", "KEY", "STATE", "WHY"], &rows)
        }
    });
    if tried.keys.is_empty() {
        output::hint("no key is kept open there: a root's is opened for each operation");
    }
    let well = tried.keys.iter().all(|key| key.state == "ready");
    Ok(if well { printed } else { ExitCode::from(FAILED) })
}

fn row(key: &RetriedKey) -> [String; 5] {
    let why = key.error.clone().unwrap_or_default();
    [key.name.clone(), key.backend.clone(), key.uri.clone(), key.state.clone(), why]
}
