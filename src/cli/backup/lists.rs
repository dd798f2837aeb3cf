//! `catalyst backup list` and what else shows without an identity.

use super::{
    super::{
        arguments::Output,
        exit::FAILED,
        output::{hint, json, ok, print, rows},
    },
    Trouble, lines,
};
use crate::backup::{AgeHeader, Listed, list as list_backups, read_header};
use serde_json::{Value, json};
use std::{path::Path, process::ExitCode};

/// `verify --header-only`, and `inspect` without an identity.
pub(super) fn header(file: &Path, form: Output) -> Result<ExitCode, Trouble> {
    let header = read_header(file)?;
    let printed = match form {
        Output::Json => json(&json!({ "file": file.display().to_string(), "header": header_json(&header) }))?,
        Output::Text | Output::Markdown => {
            hint(
                "what follows the header was not looked at, and a file that was cut off or altered mostly looks the same: 'catalyst backup verify' with an identity tells",
            );
            let what = "The header is whole, and the length is one that a backup can have";
            format!("{} {what}: {}\n{}", ok(), file.display(), lines(&header_facts(&header)))
        }
    };
    Ok(print(&printed))
}

pub(super) fn header_facts(header: &AgeHeader) -> Vec<(&'static str, String)> {
    vec![("Size", format!("{} octets", header.size)), ("Opened by", header.summary())]
}

pub(super) fn header_json(header: &AgeHeader) -> Value {
    let kinds: Vec<_> =
        header.kinds().iter().map(|(kind, count)| json!({ "kind": kind, "count": count })).collect();
    json!({ "size": header.size, "headerSize": header.header_size, "recipients": kinds })
}

pub(super) fn list(directory: &Path, form: Output) -> Result<ExitCode, Trouble> {
    let found = list_backups(directory)?;
    let printed = print(&match form {
        Output::Json => json(&json!({ "backups": found.iter().map(as_json).collect::<Vec<_>>() }))?,
        Output::Text | Output::Markdown => {
            let cells: Vec<_> = found.iter().map(cells).collect();
            rows(["NAME", "CREATED", "SIZE", "OPENED BY"], &cells)
        }
    });
    let all_have_headers = found.iter().all(|listed| listed.header.is_ok());
    Ok(if all_have_headers { printed } else { ExitCode::from(FAILED) })
}

fn cells(listed: &Listed) -> [String; 4] {
    let header = match &listed.header {
        Ok(header) => header.summary(),
        Err(error) => error.to_string(),
    };
    let at = listed.at.map(|at| at.to_string()).unwrap_or_default();
    [listed.name.clone(), at, listed.size.to_string(), header]
}

fn as_json(listed: &Listed) -> Value {
    let (header, problem) = match &listed.header {
        Ok(header) => (Some(header_json(header)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    json!({
        "name": listed.name, "size": listed.size, "deployment": listed.deployment,
        "createdAt": listed.at.map(|at| at.to_string()), "header": header, "problem": problem,
    })
}
