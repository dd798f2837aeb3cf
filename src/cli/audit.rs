//! `catalyst pki audit`

use super::{
    arguments::{AuditFilter, Output},
    output::{self, json, put},
};
use crate::{
    api::{AuditItem, AuditPage},
    client::{Client, ClientError, Result},
    identity::Timestamp,
};
use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

/// How many are asked for at once.
pub(super) const PAGE: u64 = 1_000;
/// How often `--follow` asks.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn list(client: &Client, filter: &AuditFilter, form: Output) -> Result<ExitCode> {
    // A table's columns are as wide as its widest row; whoever follows wants rows as they come.
    let as_table = form != Output::Json && io::stdout().is_terminal() && !filter.follow;
    let mut rows = Vec::new();
    let (mut after, mut left) = (filter.after.unwrap_or(0), filter.limit.unwrap_or(u64::MAX));
    loop {
        let page = page(client, filter, after, left.min(PAGE)).await?;
        left = left.saturating_sub(page.records.len() as u64);
        if as_table {
            rows.extend(page.records.iter().map(row));
        } else if !put(&lines(&page.records, form)?)? {
            return Ok(ExitCode::SUCCESS);
        }
        let last = page.records.last().map_or(after, |record| record.seq);
        after = match page.next_after {
            Some(next) if left > 0 && next > after => next,
            Some(_) if left > 0 => {
                return Err(ClientError::failed(
                    "the service answers the same page of the audit log again and again",
                ));
            }
            _ if filter.follow => {
                tokio::time::sleep(PAUSE).await;
                last
            }
            _ => break,
        };
    }
    if as_table {
        put(&output::rows(["SEQ", "AT", "ACTOR", "ACTION", "SUBJECT", "DETAIL"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn page(client: &Client, filter: &AuditFilter, after: i64, limit: u64) -> Result<AuditPage> {
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let query = [
        ("after", Some(after.to_string())),
        ("limit", Some(limit.to_string())),
        ("action", filter.action.clone()),
        ("actor", filter.actor.clone()),
        ("subject", filter.subject.clone()),
        ("since", number(filter.since)),
        ("until", number(filter.until)),
    ];
    client.get("/pki/audit", &query).await
}

fn lines(records: &[AuditItem], form: Output) -> Result<String> {
    if form == Output::Json {
        return records.iter().map(json).collect();
    }
    Ok(output::plain(&records.iter().map(row).collect::<Vec<_>>()))
}

fn row(record: &AuditItem) -> [String; 6] {
    [
        record.seq.to_string(),
        Timestamp::from_millis(record.at).to_string(),
        record.actor.clone(),
        record.action.clone(),
        record.subject.clone(),
        record.detail.clone(),
    ]
}
