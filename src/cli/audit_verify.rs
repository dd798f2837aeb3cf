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
        printable, sealed,
    },
    identity::Timestamp,
};
use serde_json::{Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What was kept elsewhere.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The heads of `--head`.
    heads: Vec<SignedHead>,
    /// The files of `--sealed`, in their order.
    sealed: Vec<PathBuf>,
}

/// Reads the file of `--head` and looks into the directory of `--sealed`.
///
/// # Errors
/// A file that can't be read, or that holds no head; a directory without sealed files.
pub(super) fn kept(heads: Option<&Path>, sealed: Option<&Path>) -> Result<Kept> {
    let sealed = match sealed {
        None => Vec::new(),
        Some(directory) => {
            let files = sealed::files(directory).map_err(|error| {
                ClientError::usage(format!("cannot read {}: {error}", directory.display()))
            })?;
            if files.is_empty() {
                let what = format!("there are no sealed files in {}", directory.display());
                return Err(ClientError::usage(what)
                    .with_hint("they lie in the directory audit of the service's data directory, once records are 30 days old"));
            }
            files
        }
    };
    Ok(Kept { heads: kept_heads(heads)?, sealed })
}

/// Reads the file of `--head`.
///
/// # Errors
/// A file that can't be read, or that holds no head.
fn kept_heads(path: Option<&Path>) -> Result<Vec<SignedHead>> {
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

pub(super) async fn run(client: &Client, kept: &Kept, form: Output) -> Result<ExitCode> {
    let report = examine(client, kept).await?;
    let printed = print(&match form {
        Output::Json => json(&report.json())?,
        Output::Text | Output::Markdown => report.text(),
    });
    if kept.heads.is_empty() {
        output::hint(
            "without --head, an end that was cut off together with the service's own count is not seen",
        );
    }
    Ok(if report.is_good() { printed } else { ExitCode::from(FAILED) })
}

async fn examine(client: &Client, kept: &Kept) -> Result<Report> {
    let service: AuditVerdict = client.get("/pki/audit/verify", &[]).await?;
    let keys = if kept.heads.is_empty() && kept.sealed.is_empty() {
        HeadKeys::default()
    } else {
        let keys: TokenKeys = client.get("/auth/keys", &[]).await?;
        HeadKeys::from_jwks(&keys.jwks)
    };
    let (mut chain, mut problems) = begin(kept, &service, &keys);
    if problems.is_empty() {
        problems.extend(follow(client, &mut chain).await?);
    }
    // Then the end was not come to, and what lies beyond is not missing but unknown.
    let is_broken = !problems.is_empty();
    if problems.is_empty() {
        problems.extend(compare(&chain, &service));
    }
    let find = |head: &SignedHead| match heads::check(head, &keys, &chain) {
        Finding::Truncated if is_broken => Finding::Unchecked,
        finding => finding,
    };
    let heads = kept.heads.iter().map(|head| (head.clone(), find(head))).collect();
    let (base, end, records) = (chain.base().clone(), chain.end().clone(), chain.records());
    Ok(Report { service, base, end, records, problems, heads })
}

/// The chain as far as the sealed files bring it; without them, where the service's records begin.
fn begin(kept: &Kept, service: &AuditVerdict, keys: &HeadKeys) -> (Chain, Vec<String>) {
    let wanted = kept.heads.iter().map(|head| head.seq).chain([service.head.seq, service.base.seq]);
    let Some(first) = kept.sealed.first() else {
        return (Chain::new(service.base.clone(), wanted), Vec::new());
    };
    let base = match sealed::base(first) {
        Ok(base) => base,
        Err(problem) => return (Chain::new(service.base.clone(), wanted), vec![problem]),
    };
    let mut chain = Chain::new(base, wanted);
    for path in &kept.sealed {
        if let Err(problem) = sealed::follow(path, &mut chain, keys) {
            return (chain, vec![problem]);
        }
    }
    let joins =
        chain.hash_at(service.base.seq).is_some_and(|hash| hash.eq_ignore_ascii_case(&service.base.hash));
    let problem = || {
        format!(
            "the sealed files end at record {}, and the service's records continue from another record {}",
            chain.end().seq,
            service.base.seq
        )
    };
    let problems = if joins { Vec::new() } else { vec![problem()] };
    (chain, problems)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::AuditItem,
        client::{Options, Trust, audit::tests::stored, heads::tests::HeadKey, tests::fake::Fake},
    };

    /// What `audit verify` finds on a service with these records, that claims to have `claimed` of them.
    async fn found(
        records: &[AuditItem],
        claimed: usize,
        pages: usize,
        key: &HeadKey,
        heads: &[SignedHead],
    ) -> Report {
        let zero = AuditPoint { seq: 0, hash: "00".repeat(32) };
        let all = stored(9);
        let head = AuditPoint { seq: all[claimed - 1].seq, hash: all[claimed - 1].hash.clone() };
        let verdict = json!({"intact": true, "base": zero, "head": head}).to_string();
        let keys = json!({"success": true, "jwks": key.jwks()}).to_string();
        let records = records.to_vec();
        let fake = Fake::plain(move |target| {
            let body = match target.strip_prefix("/pki/audit?after=") {
                Some(rest) => {
                    let after: i64 = rest.split('&').next().unwrap().parse().unwrap();
                    let page: Vec<_> = records.iter().filter(|r| r.seq > after).take(pages).collect();
                    let next = page
                        .last()
                        .filter(|last| last.seq < records.last().unwrap().seq)
                        .map(|last| last.seq);
                    json!({"records": page, "nextAfter": next}).to_string()
                }
                None if target == "/auth/keys" => keys.clone(),
                None => verdict.clone(),
            };
            (200, "application/json", body)
        })
        .await;
        let url = format!("ws://{}/rpc", fake.address).parse().unwrap();
        let options = Options { url, trust: Trust::Nothing, insecure_http: false, token: None };
        let kept = Kept { heads: heads.to_vec(), sealed: Vec::new() };
        examine(&Client::open(options).await.unwrap(), &kept).await.unwrap()
    }

    #[tokio::test]
    async fn a_whole_log_is_intact_over_many_pages() {
        let (records, key) = (stored(7), HeadKey::new());
        let kept = vec![key.sign(3, &records[2].hash), key.sign(7, &records[6].hash)];
        // Records that came after the service's verdict are no harm.
        for (claimed, pages) in [(7, 1_000), (7, 2), (5, 3)] {
            let report = found(&records, claimed, pages, &key, &kept).await;
            assert!(report.is_good(), "{report:?}");
            assert_eq!((report.records, report.end.seq), (7, 7));
        }
        let report = found(&records, 7, 3, &key, &kept).await;
        assert!(report.text().starts_with("Audit log: intact\n  Records:  7\n"), "{}", report.text());
        assert_eq!(report.json()["heads"][1]["finding"], "holds");
    }

    #[tokio::test]
    async fn a_service_that_lies_is_found_out() {
        let (records, key) = (stored(7), HeadKey::new());
        let mut altered = records.clone();
        altered[4].subject = "spiffe://example.org/node/other".into();
        let report = found(&altered, 7, 3, &key, &[key.sign(7, &records[6].hash)]).await;
        assert!(report.problems[0].contains("record 5"), "{report:?}");
        assert_eq!(report.json()["heads"][0]["finding"], "unchecked");
        let report = found(&records[..5], 7, 3, &key, &[]).await;
        assert!(report.problems[0].starts_with("truncated"), "{report:?}");
        assert!(report.text().contains("NOT INTACT"));
    }

    /// The service's own story is whole; only what was kept elsewhere shows that it is another one.
    #[tokio::test]
    async fn kept_heads_show_what_the_service_has_forgotten() {
        let (records, key) = (stored(7), HeadKey::new());
        let kept = vec![key.sign(6, &records[5].hash)];
        let report = found(&records[..5], 5, 3, &key, &kept).await;
        assert!(report.problems.is_empty() && !report.is_good());
        assert!(report.text().contains("truncated"), "{}", report.text());
        let kept = vec![key.sign(3, &"33".repeat(32))];
        let report = found(&records, 7, 3, &key, &kept).await;
        assert_eq!(report.json()["heads"][0]["finding"], "rewritten");
        assert_eq!(report.json()["intact"], false);
    }
}
