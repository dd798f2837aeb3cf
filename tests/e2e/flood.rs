//! A flood of requests without a good credential: neither the audit log nor the disk gets fuller, and who has a good
//! one is answered all the while.

use crate::pki::{Pki, ok};
use catalyst_rigs::http::Connection;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

const REQUESTS: usize = 100_000;
const CLIENTS: usize = 4;
/// So many requests are sent before the first of their answers is read.
const BURST: usize = 50;

/// Every file in the data directory with its size.
fn sizes(directory: &Path) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => sizes.extend(
                self::sizes(&entry.path()).into_iter().map(|(file, size)| (format!("{name}/{file}"), size)),
            ),
            false => drop(sizes.insert(name, entry.metadata().unwrap().len())),
        }
    }
    sizes
}

#[test]
fn a_hundred_thousand_requests_of_nobody_leave_the_log_and_the_disk_as_they_were() {
    use std::io::Write as _;
    let pki = Pki::dev();
    pki.issue("node", "n1");
    let real: Vec<&str> = pki.token.split('.').collect();
    let forged = format!("{}.{}.{}", real[0], real[1], real[2].chars().rev().collect::<String>());
    let attempts = [
        String::new(),
        "authorization: Bearer x\r\n".to_owned(),
        format!("authorization: Bearer {forged}\r\n"),
        "authorization: Basic YWRtaW46YWRtaW4=\r\n".to_owned(),
        "authorization: Catalyst-Renew a.b.c\r\n".to_owned(),
    ];
    let burst: String = (0..BURST)
        .map(|n| format!("GET /pki/status HTTP/1.1\r\nhost: x\r\n{}\r\n", attempts[n % attempts.len()]))
        .collect();
    let head = |pki: &Pki| ok(&pki.get("/pki/audit/verify"))["head"].clone();
    let (before, files, lines) = (head(&pki), sizes(pki.service.data_dir()), pki.service.log_lines().len());
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (refused, told_to_wait) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let good = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // From the same address.
                ok(&pki.get("/pki/status"));
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let attackers: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(pki.service.address()).unwrap();
                    for _ in 0..REQUESTS / CLIENTS / BURST {
                        connection.socket().write_all(burst.as_bytes()).unwrap();
                        for _ in 0..BURST {
                            match connection.answer().unwrap().status {
                                401 => refused.fetch_add(1, Ordering::Relaxed),
                                429 => told_to_wait.fetch_add(1, Ordering::Relaxed),
                                other => panic!("{other}"),
                            };
                        }
                    }
                })
            })
            .collect();
        attackers.into_iter().for_each(|attacker| attacker.join().unwrap());
        done.store(true, Ordering::Relaxed);
        good.join().unwrap();
    });
    let (refused, told_to_wait) = (refused.into_inner(), told_to_wait.into_inner());
    assert_eq!(refused + told_to_wait, REQUESTS);
    // After the first few of a minute, all of them are told to wait.
    assert!(told_to_wait > REQUESTS / 2, "{told_to_wait}");
    assert!(served.into_inner() > 50, "a good credential was held up");
    assert_eq!(head(&pki), before);
    assert_eq!(sizes(pki.service.data_dir()), files);
    let log = pki.service.log_lines();
    let failed = log[lines..].iter().filter(|line| line.message == "Authentication failed").count();
    assert!((1..=100).contains(&failed), "{failed} lines");
    assert!(log.len() - lines <= 150, "{} lines", log.len() - lines);
    let metrics = pki.service.http().get("/metrics").unwrap().text();
    let counted: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("catalyst_") && line.contains("auth") && line.contains("fail"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(counted >= REQUESTS as f64, "the metrics say {counted}");
    pki.still_works();
}
