//! `catalyst pki audit verify`: the chain computed here, and heads that were kept elsewhere.

use super::{
    arguments::Output,
    audit::PAGE,
    exit::FAILED,
    output::{self, json, print},
};
use crate::{
    api::{AuditPage, AuditPoint, AuditVerdict, SignedHead, TokenKeys},
    client::{
        Client, ClientError, Result,
        audit::Chain,
        heads::{self, Finding, HeadKeys},
        printable,
    },
    identity::Timestamp,
};
use serde_json::{Value, json};
use std::{fs, io, path::Path, process::ExitCode};

/// The heads of `--head`, if there are any.
pub(super) type KeptHeads = Vec<SignedHead>;

/// Reads the file of `--head`.
///
/// # Errors
/// A file that can't be read, or that holds no head.
pub(super) fn kept_heads(path: Option<&Path>) -> Result<KeptHeads> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin().lock())
    } else {
        fs::read_to_string(path)
    };
    let text =
        text.map_err(|error| ClientError::usage(format!("cannot read {}: {error}", path.display())))?;
    let (heads, others) = heads::parse(&text);
    if heads.is_empty() {
        return Err(ClientError::usage(format!("there is no signed head in {}", path.display()))
            .with_hint("keep the log lines that say 'Audit head', in the log's JSON form, one a line"));
    }
    if let Some(first) = others.first() {
        output::warn(&format!(
            "{} lines hold no signed head and were passed over, line {first} first",
            others.len()
        ));
    }
    Ok(heads)
}

/// What was found.
#[derive(Debug)]
struct Report {
    service: AuditVerdict,
    /// How far the chain was followed.
    base: AuditPoint,
    end: AuditPoint,
    records: u64,
    /// What is wrong with the chain, sentences.
    problems: Vec<String>,
    heads: Vec<(SignedHead, Finding)>,
}

pub(super) async fn run(client: &Client, kept: &KeptHeads, form: Output) -> Result<ExitCode> {
    let service: AuditVerdict = client.get("/pki/audit/verify", &[]).await?;
    let numbers = kept.iter().map(|head| head.seq).chain([service.head.seq]);
    let mut chain = Chain::new(service.base.clone(), numbers);
    let mut problems: Vec<String> = follow(client, &mut chain).await?.into_iter().collect();
    if problems.is_empty() {
        problems.extend(compare(&chain, &service));
    }
    let heads = if kept.is_empty() {
        Vec::new()
    } else {
        let keys: TokenKeys = client.get("/auth/keys", &[]).await?;
        let keys = HeadKeys::from_jwks(&keys.jwks);
        kept.iter().map(|head| (head.clone(), heads::check(head, &keys, &chain))).collect()
    };
    let (base, end, records) = (chain.base().clone(), chain.end().clone(), chain.records());
    let report = Report { service, base, end, records, problems, heads };
    let printed = print(&match form {
        Output::Json => json(&report.json())?,
        Output::Text | Output::Markdown => report.text(),
    });
    Ok(if report.is_good() { printed } else { ExitCode::from(FAILED) })
}

/// Follows the chain to its end or to where it breaks.
async fn follow(client: &Client, chain: &mut Chain) -> Result<Option<String>> {
    loop {
        let after = chain.end().seq;
        let query = [("after", Some(after.to_string())), ("limit", Some(PAGE.to_string()))];
        let page: AuditPage = client.get("/pki/audit", &query).await?;
        for record in &page.records {
            if let Err(problem) = chain.follow(record) {
                return Ok(Some(problem.to_string()));
            }
        }
        // A page that brings nothing is the end, whatever it says of a next one.
        if page.next_after.is_none() || chain.end().seq == after {
            return Ok(None);
        }
    }
}

/// The chain as computed here against what the service says of it.
fn compare(chain: &Chain, service: &AuditVerdict) -> Vec<String> {
    let mut problems = Vec::new();
    match chain.hash_at(service.head.seq) {
        None => problems.push(format!(
            "truncated: the records end at {}, and the service says that there are {}",
            chain.end().seq,
            service.head.seq
        )),
        Some(hash) if !hash.eq_ignore_ascii_case(&service.head.hash) => problems
            .push(format!("rewritten: record {} has another hash than the service's head", service.head.seq)),
        Some(_) => {}
    }
    if !service.intact {
        let at = service.broken_at.map_or_else(|| "somewhere".into(), |seq| format!("at record {seq}"));
        problems.push(format!("the service finds its own log broken {at}"));
    }
    problems
}

impl Report {
    fn is_good(&self) -> bool {
        self.problems.is_empty() && self.heads.iter().all(|(_, finding)| finding.is_good())
    }

    fn text(&self) -> String {
        let state = if self.is_good() { "intact" } else { "NOT INTACT" };
        let point = |point: &AuditPoint| format!("record {}, {}", point.seq, printable(&point.hash));
        let mut text = format!(
            "Audit log: {state}\n  Records:  {}\n  After:    {}\n  Up to:    {}\n",
            self.records,
            point(&self.base),
            point(&self.end)
        );
        for problem in &self.problems {
            text.push_str(&format!("  Problem:  {}\n", printable(problem)));
        }
        for (head, finding) in &self.heads {
            let at = Timestamp::from_millis(head.at);
            text.push_str(&format!("  Head:     record {}, signed {at}: {finding}\n", head.seq));
        }
        text
    }

    fn json(&self) -> Value {
        let head = |(head, finding): &(SignedHead, Finding)| json!({"seq": head.seq, "at": head.at, "kid": head.kid, "finding": finding.word(), "good": finding.is_good()});
        json!({
            "intact": self.is_good(),
            "records": self.records,
            "base": self.base,
            "head": self.end,
            "problems": self.problems,
            "heads": self.heads.iter().map(head).collect::<Vec<_>>(),
            "service": self.service,
        })
    }
}
