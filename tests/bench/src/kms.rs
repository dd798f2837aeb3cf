//! Issuance over HTTP with keys in a KMS. What stands for it signs by itself, and answers as late as it is told.

mod aws;
mod cost;
mod gcp;
mod idle;

use crate::{
    Outcome,
    load::{self, Seen},
    requests::{self, Request},
    service,
    table::{Row, Table},
};
use catalyst_pki::identity::ServiceType;
use catalyst_rigs::{Launch, Service};
use cost::Cost;
use std::{collections::BTreeMap, net::SocketAddr, path::Path, process, thread, time::Duration};
use tempfile::TempDir;

/// How late KMS answers, how many callers there are, and how many certificates they ask for together.
const LOADS: [(u64, usize, usize); 9] = [
    (0, 1, 400),
    (0, 16, 4_000),
    (0, 128, 6_000),
    (20, 1, 200),
    (20, 16, 3_200),
    (20, 128, 8_000),
    (100, 1, 50),
    (100, 16, 800),
    (100, 128, 6_400),
];
/// Rounds of each key store in turn, and certificates in each, by as many callers.
const ROUNDS: usize = 4;
const ROUND: usize = 2_500;
const CALLERS: usize = 128;
/// How late the services CA's key is while the transport CA issues.
const SLOW: Duration = Duration::from_secs(2);
const SLOW_CALLERS: usize = 64;
const SLOW_EACH: usize = 4;
/// Callers and certificates of the transport CA.
const BESIDE: (usize, usize) = (16, 2_000);
/// The CAs of a hierarchy, each with a certificate that was signed.
const CAS: usize = 3;
/// How often each caller asks that is no SDK.
const ALONE: usize = 50;

/// What stands for a KMS.
pub(crate) trait Kms: Sized + Sync {
    /// The operation that signs.
    const SIGN: &'static str;

    fn start() -> Outcome<Self>;

    /// Tells a service to make its keys in it.
    fn serve(&self, launch: Launch) -> Launch;

    fn address(&self) -> Outcome<SocketAddr>;

    /// A request that has this EC-P384 key sign, by somebody whose calls are not counted.
    fn bare(&self, key: &str) -> Vec<u8>;

    /// From now on this key, or every key, signs so much later.
    fn slow(&self, key: Option<&str>, late: Duration) -> Outcome;

    /// Nothing is late any more.
    fn heal(&self) -> Outcome;

    /// The calls so far.
    fn calls(&self) -> Outcome<Vec<Call>>;

    /// CPU time so far: its own, and that of the rest of this process, which is the callers'.
    fn cpu(&self) -> Outcome<[Duration; 2]>;
}

/// A call of the service.
pub(crate) struct Call {
    operation: String,
    key: Option<String>,
}

/// The service, its keys in what stands for KMS.
struct Bench<K> {
    kms: K,
    service: Service,
    token: String,
    _directory: TempDir,
}

/// Everything but [`idle::report`].
pub(crate) fn report<K: Kms>(table: &mut Table) -> Outcome {
    let bench = Bench::<K>::start()?;
    let wanted: usize = LOADS.iter().map(|(_, _, count)| count).sum();
    let wanted = wanted + 2 * ROUNDS * ROUND + SLOW_CALLERS * SLOW_EACH + 2;
    eprintln!("making {wanted} keys and requests");
    let mut nodes = Requests(requests::make(wanted)?);
    let mut envoys = Requests(requests::make_for(ServiceType::EnvoyTransport, 2 * BESIDE.1 + 1)?);
    bench.latencies(&mut nodes, table)?;
    bench.beside_a_slow_key(&mut nodes, &mut envoys, table)?;
    bench.against_local_keys(&mut nodes, table)?;
    bench.count(table)
}

pub(crate) use aws::Aws;
pub(crate) use gcp::Gcp;
pub(crate) use idle::report as report_idle;

/// Each is used once.
struct Requests(Vec<Request>);

impl Requests {
    fn take(&mut self, count: usize, token: &str) -> Outcome<Vec<Vec<u8>>> {
        let left = self.0.len().checked_sub(count).ok_or("too few requests")?;
        Ok(self.0.split_off(left).iter().map(|request| request.http(token)).collect())
    }
}

impl<K: Kms> Bench<K> {
    fn start() -> Outcome<Self> {
        let kms = K::start()?;
        let directory = tempfile::tempdir()?;
        let service = kms.serve(service::launch(directory.path())?).start()?;
        let (service, token) = initialized(service, directory.path())?;
        Ok(Self { kms, service, token, _directory: directory })
    }

    /// The throughput at each latency.
    fn latencies(&self, nodes: &mut Requests, table: &mut Table) -> Outcome {
        let key = self.key_of(nodes)?;
        // Its own time is part of what it is late.
        let own = self.bare(&key, 1)?.within(0.5);
        let what = format!("KMS at 0 ms: {} and nothing else, {CALLERS} callers", K::SIGN);
        table.push(Row::seen(what, &self.bare(&key, CALLERS)?).without_cpu());
        let mut late = Duration::ZERO;
        for (delay, callers, count) in LOADS {
            let delay = Duration::from_millis(delay);
            self.kms.slow(None, delay.saturating_sub(own))?;
            if callers == 1 {
                let alone = self.bare(&key, 1)?;
                late = alone.within(0.5);
                let what =
                    format!("KMS at {} ms: {} and nothing else, 1 caller: L", delay.as_millis(), K::SIGN);
                table.push(Row::seen(what, &alone).without_cpu());
            }
            let requests = nodes.take(count, &self.token)?;
            let (seen, cost) = self.measured(&requests, callers)?;
            self.kms.heal()?;
            let what = format!("KMS at {} ms: issuance, {callers} callers", delay.as_millis());
            let limit = cost.limit();
            let mut figure = format!("{cost}; {:.2} of it", seen.per_second() / limit);
            if !delay.is_zero() {
                let wanted = callers as f64 / late.as_secs_f64();
                figure = format!("{:.2} × n/L; {figure}", seen.per_second() / wanted);
            }
            let row = Row::seen(what, &seen).figure(figure);
            table.push(if delay.is_zero() { row } else { row.target("≥ 0.9 × n/L, or the CPU's limit") });
        }
        Ok(())
    }

    /// Signatures, for callers who keep a connection each, ask one thing after another and do nothing else.
    fn bare(&self, key: &str, callers: usize) -> Outcome<Seen> {
        let requests = vec![self.kms.bare(key); ALONE * callers];
        load::send(self.kms.address()?, process::id(), &requests, callers)
    }

    fn measured(&self, requests: &[Vec<u8>], callers: usize) -> Outcome<(Seen, Cost)> {
        Cost::of(&self.kms, requests.len(), || {
            load::send(self.service.address(), self.service.pid(), requests, callers)
        })
    }

    /// The transport CA's issuance with and without a services CA whose key takes seconds.
    fn beside_a_slow_key(&self, nodes: &mut Requests, envoys: &mut Requests, table: &mut Table) -> Outcome {
        let (address, pid) = (self.service.address(), self.service.pid());
        let (callers, count) = BESIDE;
        let (slow, quick) = (self.key_of(nodes)?, self.key_of(envoys)?);
        self.kms.slow(Some(&quick), Duration::from_millis(20))?;
        let alone = load::send(address, pid, &envoys.take(count, &self.token)?, callers)?;
        self.kms.slow(Some(&slow), SLOW)?;
        let (waiting, moving) =
            (nodes.take(SLOW_CALLERS * SLOW_EACH, &self.token)?, envoys.take(count, &self.token)?);
        let (beside, waited) = thread::scope(|scope| -> Outcome<_> {
            let slow = scope.spawn(|| load::send(address, pid, &waiting, SLOW_CALLERS));
            let beside = load::send(address, pid, &moving, callers)?;
            if slow.is_finished() {
                return Err("the slow key's callers had all been answered too early".into());
            }
            Ok((beside, slow.join().map_err(|_| "a thread panicked")??))
        })?;
        self.kms.heal()?;
        table.push(Row::seen(format!("KMS at 20 ms: transport certificates, {callers} callers"), &alone));
        let ratio = |beside: Duration, alone: Duration| beside.as_secs_f64() / alone.as_secs_f64();
        let figure = format!(
            "throughput × {:.2}, p50 × {:.2}, p99 × {:.2}",
            beside.per_second() / alone.per_second(),
            ratio(beside.within(0.5), alone.within(0.5)),
            ratio(beside.within(0.99), alone.within(0.99))
        );
        table.push(
            Row::seen(format!("the same while the services CA's key takes {} s", SLOW.as_secs()), &beside)
                .without_cpu()
                .figure(figure)
                .target("no slower"),
        );
        let what = format!("meanwhile: the services CA, {SLOW_CALLERS} callers");
        table.push(Row::seen(what, &waited).without_cpu());
        Ok(())
    }

    /// What a certificate costs the service that asks KMS, beside one that signs by itself; in turn.
    fn against_local_keys(&self, nodes: &mut Requests, table: &mut Table) -> Outcome {
        let directory = tempfile::tempdir()?;
        let local = service::launch(directory.path())?.start()?;
        let (local, token) = initialized(local, directory.path())?;
        self.kms.slow(None, Duration::from_millis(20))?;
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            here.push(load::send(local.address(), local.pid(), &nodes.take(ROUND, &token)?, CALLERS)?);
            there.push(self.measured(&nodes.take(ROUND, &self.token)?, CALLERS)?.0);
        }
        self.kms.heal()?;
        let (here, there) = (Seen::joined(here), Seen::joined(there));
        let more = there.cpu.saturating_sub(here.cpu);
        table.push(Row::seen(format!("local keys: issuance, {CALLERS} callers"), &here));
        table.push(
            Row::seen(format!("KMS at 20 ms, in turn with it: issuance, {CALLERS} callers"), &there).figure(
                format!(
                    "CPU × {:.2} of local keys, which sign; + {} µs",
                    there.cpu.as_secs_f64() / here.cpu.as_secs_f64(),
                    more.as_micros()
                ),
            ),
        );
        Ok(())
    }

    /// The calls of the whole run, from the service's start, by what they were for.
    fn count(&self, table: &mut Table) -> Outcome {
        let mut calls: BTreeMap<String, usize> = BTreeMap::new();
        for call in self.kms.calls()? {
            *calls.entry(call.operation).or_default() += 1;
        }
        let signed = calls.remove(K::SIGN).unwrap_or_default();
        let log = self.service.log();
        let logged = |message: &str| log.lines().filter(|line| line.contains(message)).count();
        let (issued, crls, probes) = (logged("Certificate issued"), logged("CRL published"), self.probes()?);
        let for_certificates = signed.saturating_sub(CAS + crls + probes);
        let others: Vec<_> = calls.iter().map(|(operation, count)| format!("{count} {operation}")).collect();
        let figure = format!(
            "{signed} {}: {CAS} CA certificates, {crls} CRLs, {probes} probes, {for_certificates} for {issued} \
             certificates, which is {:.4} each; {}",
            K::SIGN,
            for_certificates as f64 / issued.max(1) as f64,
            others.join(", ")
        );
        table.push(Row::of("calls to KMS in the whole run").figure(figure).target("1 a certificate"));
        Ok(())
    }

    /// The id of the key that signs such certificates. Uses a request up.
    fn key_of(&self, requests: &mut Requests) -> Outcome<String> {
        let (address, pid) = (self.service.address(), self.service.pid());
        load::send(address, pid, &requests.take(1, &self.token)?, 1)?;
        let signed = self.kms.calls()?.into_iter().rfind(|call| call.operation == K::SIGN);
        Ok(signed.and_then(|call| call.key).ok_or("nothing was signed")?)
    }

    /// Probe signatures so far, as the service counts them.
    fn probes(&self) -> Outcome<usize> {
        let metrics = self.service.http().with_token(&self.token).get("/metrics")?.text();
        let counts = metrics.lines().filter(|line| {
            line.starts_with("catalyst_pki_signing_duration_seconds_count{")
                && line.contains("operation=\"probe\"")
        });
        let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        Ok(counts.sum())
    }
}

fn initialized(mut service: Service, directory: &Path) -> Outcome<(Service, String)> {
    service::initialize(&mut service)?;
    let token = service::token(directory)?;
    Ok((service, token))
}
