//! The real service: start, memory, issuance and reads, with a small store and with a large one.

use crate::{
    Outcome, Plan,
    cryptography::Cryptography,
    filler,
    load::{self, Seen},
    process::memory_of,
    requests::{Request, TRUST_DOMAIN},
    rpc,
    table::{Row, Table},
};
use catalyst_rigs::{Launch, Service, catalyst};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

pub(crate) const PASSPHRASE: &str = "a passphrase for benchmarks";
const START_RUNS: usize = 5;

/// Measures all of it and says how the large store compares with the small one.
pub(crate) fn report(requests: &[Request], plan: &Plan, table: &mut Table) -> Outcome {
    let binary = fs::metadata(catalyst()?)?.len();
    table.push(Row::of("release binary").figure(megabytes(binary)).target("< 40 MB"));
    let founded = tempfile::tempdir()?;
    let pem = found(founded.path(), requests)?;
    report_rpc(requests, table)?;
    https(founded.path(), requests, plan, table)?;
    let mut seen = Vec::new();
    for rows in plan.rows {
        let directory = tempfile::tempdir()?;
        copy(founded.path(), directory.path())?;
        eprintln!("filling a store with {rows} rows");
        filler::fill(&directory.path().join("certs.db"), rows, &pem)?;
        seen.push(with_rows(directory.path(), rows, requests, plan, table)?);
    }
    if let [small, large] = &seen[..] {
        for ((what, small), (_, large)) in small.iter().zip(large) {
            table.push(compared(what, small, large, plan));
        }
    }
    Ok(())
}

/// The service as it is measured.
pub(crate) fn launch(directory: &Path) -> Outcome<Launch> {
    let launch = Launch::new(&catalyst()?, directory)
        .env("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE)
        .env("CATALYST_PKI_TRUST_DOMAIN", TRUST_DOMAIN)
        .env("CATALYST_PKI_ISSUE_LIMIT", "0");
    Ok(launch)
}

/// Makes a hierarchy and answers one certificate of it, PEM.
pub(crate) fn found(directory: &Path, requests: &[Request]) -> Outcome<String> {
    let mut service = launch(directory)?.start()?;
    initialize(&mut service)?;
    let client = service.http().with_token(&token(directory)?);
    let request = requests.first().ok_or("no requests")?;
    let body = serde_json::json!({
        "csrPem": request.csr_pem,
        "serviceType": request.workload.service_type().to_string(),
        "instanceId": request.workload.instance_id().as_str(),
    });
    let signed = client.post("/pki/csr/sign", &body)?;
    let pem = signed.json()?["certificatePem"].as_str().map(str::to_owned);
    service.stop()?;
    pem.ok_or_else(|| signed.text().into())
}

/// Has a new service make its hierarchy.
pub(crate) fn initialize(service: &mut Service) -> Outcome {
    service.wait_for("System Admin Token")?;
    let client = service.http().with_token(&token(service.data_dir())?);
    let made = until_ready(|| Ok(client.post("/pki/initialize", &serde_json::json!({}))?))?;
    if made.status == 200 { Ok(()) } else { Err(made.text().into()) }
}

/// Measures Cap'n Web and the command line, with a new hierarchy.
pub(crate) fn report_rpc(requests: &[Request], table: &mut Table) -> Outcome {
    let directory = tempfile::tempdir()?;
    found(directory.path(), requests)?;
    let mut service = launch(directory.path())?.start()?;
    let token = token(directory.path())?;
    until_ready(|| Ok(service.http().with_token(&token).get("/pki/status")?))?;
    rpc::report(&service, &token, table)?;
    service.stop()?;
    Ok(())
}

/// HTTPS beside plain HTTP, at the same listener of one service.
fn https(founded: &Path, requests: &[Request], plan: &Plan, table: &mut Table) -> Outcome {
    let directory = tempfile::tempdir()?;
    copy(founded, directory.path())?;
    let mut service = launch(directory.path())?.env("CATALYST_PKI_TLS", "always").start()?;
    let (address, pid, token) = (service.address(), service.pid(), token(directory.path())?);
    let client = service.http();
    until_ready(|| Ok(client.get("/pki/status")?))?;
    let bundle = client.get("/pki/ca/bundle")?.text();
    let tls = load::Way { tls: Some(trusting(&bundle)?), anew: false };
    // The service's own SVID comes a moment after the hierarchy; until then a self-signed certificate is shown.
    let deadline = Instant::now() + Duration::from_secs(30);
    while load::send_over(&tls, address, pid, &[load::get("/health", &token)], 1).is_err() {
        if Instant::now() > deadline {
            return Err("the service shows no certificate of its CA".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let plain = load::Way::default();
    let (clients, count) = (8, plan.loads[0].1.min(requests.len() / 2));
    let bodies: Vec<_> = requests[..2 * count].iter().map(|request| request.http(&token)).collect();
    let (first, second) = bodies.split_at(count);
    let health = vec![load::get("/health", &token); plan.reads];
    for (what, first, second, anew) in [
        ("issuance, kept connections", first, second, false),
        ("/health, a connection each", &health, &health, true),
    ] {
        let http = load::send_over(&load::Way { anew, ..plain.clone() }, address, pid, first, clients)?;
        let https = load::send_over(&load::Way { anew, ..tls.clone() }, address, pid, second, clients)?;
        let more = https.cpu.saturating_sub(http.cpu);
        let ratio = https.cpu.as_secs_f64() / http.cpu.as_secs_f64().max(1e-9);
        table.push(Row::seen(format!("HTTP: {what}, {clients} clients"), &http));
        table.push(
            Row::seen(format!("HTTPS: {what}, {clients} clients"), &https)
                .figure(format!("CPU × {ratio:.2} of HTTP, + {} µs", more.as_micros())),
        );
    }
    service.stop()?;
    Ok(())
}

/// TLS 1.3 towards a server under the root of this bundle; every connection is a whole handshake.
fn trusting(bundle: &str) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(bundle.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn with_rows(
    directory: &Path,
    rows: u64,
    requests: &[Request],
    plan: &Plan,
    table: &mut Table,
) -> Outcome<Vec<(String, Seen)>> {
    let mut service = starts(directory, rows, table)?;
    let (address, pid, token) = (service.address(), service.pid(), token(directory)?);
    let mut all = Vec::new();
    for (path, what) in [("/pki/status", "status"), ("/pki/ca/bundle", "bundle")] {
        let seen = load::send(address, pid, &vec![load::get(path, &token); plan.reads], 1)?;
        table.push(Row::seen(format!("{what}, 1 client, {rows} rows"), &seen));
        all.push((what.to_owned(), seen));
    }
    let mut left = requests;
    for (clients, count) in plan.loads {
        let (share, rest) = left.split_at(count.min(left.len()));
        left = rest;
        let share: Vec<_> = share.iter().map(|request| request.http(&token)).collect();
        let (seen, sampled) = Cryptography::during(|| load::send(address, pid, &share, clients))?;
        let plural = if clients == 1 { "" } else { "s" };
        let what = format!("issuance, {clients} client{plural}");
        table.push(
            Row::seen(format!("HTTP {what}, {rows} rows"), &seen)
                .held_against(sampled.cryptography)
                .target("≤ 1.40"),
        );
        all.push((what, seen));
    }
    let (now, most) = memory_of(pid)?;
    let figure = format!("{}, {} at most", megabytes(now), megabytes(most));
    table.push(Row::of(format!("memory after that, {rows} rows")).figure(figure).target("< 100 MB"));
    service.stop()?;
    Ok(all)
}

/// Starts several times; the last one stays.
fn starts(directory: &Path, rows: u64, table: &mut Table) -> Outcome<Service> {
    let mut times = Vec::new();
    loop {
        let started = Instant::now();
        let mut service = launch(directory)?.start()?;
        let client = service.http();
        expect_ok(client.get("/health")?.status)?;
        let health = started.elapsed();
        expect_ok(client.get("/pki/ca/bundle")?.status)?;
        let bundle = started.elapsed();
        let client = client.with_token(&token(directory)?);
        until_ready(|| Ok(client.get("/pki/status")?))?;
        times.push((health, bundle, started.elapsed()));
        if times.len() == START_RUNS {
            times.sort_unstable();
            let (health, bundle, status) = times[START_RUNS / 2];
            let figure = format!(
                "/health {} ms, bundle {} ms, first authenticated answer {} ms",
                health.as_millis(),
                bundle.as_millis(),
                status.as_millis()
            );
            let what = format!("start, median of {START_RUNS}, {rows} rows");
            table.push(Row::of(what).figure(figure).target("bundle < 200 ms"));
            return Ok(service);
        }
        service.stop()?;
    }
}

fn compared(what: &str, small: &Seen, large: &Seen, plan: &Plan) -> Row {
    let ratio = |large: Duration, small: Duration| large.as_secs_f64() / small.as_secs_f64().max(1e-9);
    let figure = format!(
        "CPU × {:.2}, p50 × {:.2}, p99 × {:.2}, throughput × {:.2}",
        ratio(large.cpu, small.cpu),
        ratio(large.within(0.5), small.within(0.5)),
        ratio(large.within(0.99), small.within(0.99)),
        large.per_second() / small.per_second()
    );
    let [few, many] = plan.rows;
    Row::of(format!("{what}: {many} rows to {few}")).figure(figure).target("no slower")
}

/// The token key is opened behind the first answers; until then credentials can't be checked (503).
fn until_ready(
    mut ask: impl FnMut() -> Outcome<catalyst_rigs::http::Response>,
) -> Outcome<catalyst_rigs::http::Response> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = ask()?;
        if answer.status != 503 || Instant::now() > deadline {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn expect_ok(status: u16) -> Outcome {
    if status == 200 { Ok(()) } else { Err(format!("the service answered {status}").into()) }
}

pub(crate) fn token(directory: &Path) -> Outcome<String> {
    Ok(fs::read_to_string(directory.join("system-token"))?.trim().to_owned())
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Modes stay as they are, which the key store insists on.
fn copy(from: &Path, to: &Path) -> Outcome {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions())?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
