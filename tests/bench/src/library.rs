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
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Measures with a store in memory and with one on disk.
pub(crate) fn report(requests: &[Request], count: usize, table: &mut Table) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let requests = &requests[..count.min(requests.len())];
    for callers in [1, 64] {
        let measured = runtime.block_on(measure(SqliteStore::in_memory()?, requests, callers))?;
        table.push(row("a store in memory", callers, &measured));
        let directory = tempfile::tempdir()?;
        let store = SqliteStore::open(&directory.path().join("certs.db"))?;
        let measured = runtime.block_on(measure(store, requests, callers))?;
        table.push(row("a store on disk", callers, &measured));
    }
    Ok(())
}

fn row(store: &str, callers: usize, (seen, cryptography): &(Seen, Cryptography)) -> Row {
    let plural = if callers == 1 { "" } else { "s" };
    Row::seen(format!("in process, {store}, {callers} caller{plural}"), seen).held_against(*cryptography)
}

async fn measure(store: SqliteStore, requests: &[Request], callers: usize) -> Outcome<(Seen, Cryptography)> {
    let authority = open(Arc::new(store)).await?;
    let before = Cryptography::measure()?;
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(requests.len())));
    let (started, cpu) = (Instant::now(), own_cpu());
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let share: Vec<_> = requests
            .iter()
            .skip(caller)
            .step_by(callers)
            .map(|request| (request.csr_pem.clone(), request.workload.clone()))
            .collect();
        let (authority, latencies) = (authority.clone(), latencies.clone());
        tasks.spawn(async move {
            for (csr_pem, workload) in share {
                let started = Instant::now();
                let csr = VerifiedCsr::from_pem(&csr_pem)?;
                let request = IssueRequest { csr, workload, ttl: None, uri_may_be_missing: false };
                authority.issue(request, Actor::System).await?;
                latencies.lock().unwrap_or_else(PoisonError::into_inner).push(started.elapsed());
            }
            Outcome::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let (took, cpu) = (started.elapsed(), own_cpu() - cpu);
    let cryptography = before.mean(Cryptography::measure()?);
    authority.shut_down().await?;
    let latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((Seen::new(latencies, took, cpu), cryptography))
}

async fn open(store: Arc<dyn Store>) -> Outcome<Arc<Authority>> {
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
