//! Issuance without HTTP: the library as another program would embed it.

use crate::{
    Outcome,
    cryptography::Cryptography,
    load::Seen,
    process::own_cpu,
    requests::{Request, TRUST_DOMAIN},
    table::{Row, Table},
};
use catalyst_local::EphemeralBackend;
use catalyst_pki::{
    authority::{Authority, Config, InitRequest, IssueRequest, NoObserver, x509::VerifiedCsr},
    identity::{Actor, SystemClock},
    store::{SqliteStore, Store},
};
use catalyst_signing::{Guard, KeyStores, SigningBackend};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

/// Measures with a store in memory and with one on disk.
pub(crate) fn report(requests: &[Request], count: usize, table: &mut Table) -> Outcome {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let requests = &requests[..count.min(requests.len())];
    for callers in [1, 64] {
        let measured = measure(&runtime, SqliteStore::in_memory()?, requests, callers)?;
        table.push(row("a store in memory", callers, &measured));
        let directory = tempfile::tempdir()?;
        let store = SqliteStore::open(&directory.path().join("certs.db"))?;
        let measured = measure(&runtime, store, requests, callers)?;
        table.push(row("a store on disk", callers, &measured));
    }
    Ok(())
}

fn row(store: &str, callers: usize, (seen, cryptography): &(Seen, Cryptography)) -> Row {
    let plural = if callers == 1 { "" } else { "s" };
    Row::seen(format!("in process, {store}, {callers} caller{plural}"), seen).held_against(*cryptography)
}

fn measure(
    runtime: &Runtime,
    store: SqliteStore,
    requests: &[Request],
    callers: usize,
) -> Outcome<(Seen, Cryptography)> {
    let authority = runtime.block_on(open(Arc::new(store)))?;
    let (started, cpu) = (Instant::now(), own_cpu());
    let (latencies, sampled) =
        Cryptography::during(|| runtime.block_on(issue_all(&authority, requests, callers)))?;
    let (took, cpu) = (started.elapsed(), own_cpu() - cpu);
    runtime.block_on(authority.shut_down())?;
    Ok((Seen::new(latencies, took, cpu.saturating_sub(sampled.spent)), sampled.cryptography))
}

/// Answers how long each took.
pub(crate) async fn issue_all(
    authority: &Arc<Authority>,
    requests: &[Request],
    callers: usize,
) -> Outcome<Vec<Duration>> {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let share: Vec<_> = requests
            .iter()
            .skip(caller)
            .step_by(callers)
            .map(|request| (request.csr_pem.clone(), request.workload.clone()))
            .collect();
        let authority = authority.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(share.len());
            for (csr_pem, workload) in share {
                let started = Instant::now();
                let csr = VerifiedCsr::from_pem(&csr_pem)?;
                let request =
                    IssueRequest { csr, workload, ttl: None, uri_may_be_missing: false, ticket: None };
                authority.issue(request, Actor::System).await?;
                latencies.push(started.elapsed());
            }
            Outcome::Ok(latencies)
        });
    }
    let mut latencies = Vec::with_capacity(requests.len());
    while let Some(ended) = tasks.join_next().await {
        latencies.extend(ended??);
    }
    Ok(latencies)
}

pub(crate) async fn open(store: Arc<dyn Store>) -> Outcome<Arc<Authority>> {
    let mut config = Config::new(TRUST_DOMAIN.parse()?);
    config.issue_limit = None;
    let local: Arc<dyn SigningBackend> = Arc::new(EphemeralBackend::new());
    let guard = Guard::new(Arc::new(catalyst_signing::NoObserver));
    let key_stores = Arc::new(KeyStores::new(guard, vec![("local".to_owned(), local)]));
    let authority =
        Authority::open(config, store, key_stores, Arc::new(SystemClock), Arc::new(NoObserver)).await?;
    authority.initialize(InitRequest::default(), Actor::System).await?;
    Ok(authority)
}
