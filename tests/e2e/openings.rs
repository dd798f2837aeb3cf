//! Connections that are opened and never come to the point.

use crate::{
    https::{Https, Trust, plain_health},
    pki::{Pki, eventually},
    tls::{dev, shown_own},
};
use catalyst_rigs::http::Connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::io::AsyncWriteExt as _;

#[test]
fn who_stalls_in_the_handshake_is_cut_off() {
    let pki = dev();
    let mut stalled: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(pki.service.address()).unwrap()).collect();
    // One says nothing, one sends the beginning of a record, one a whole record header.
    stalled[1].write_all(&[0x16]).unwrap();
    stalled[2].write_all(&[0x16, 3, 1, 2, 0]).unwrap();
    for stream in &mut stalled {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
    assert_eq!(plain_health(&pki.service), 200);
}

/// Resident memory of a process in MiB (proc(5)).
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// One crowd at a time: there are not descriptors for two in one process, nor ports for them on one machine.
static CROWDS: Mutex<()> = Mutex::new(());

/// Opens so many connections that say no more than these beginnings, and keeps them; gives up to how many MiB the
/// service grew until `tenths` of them came through.
fn crowd(pki: &Pki, beginnings: &'static [&'static [u8]], tenths: usize) -> (tokio::runtime::Runtime, u64) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let descriptors = limit.maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    // A socket each, and some for everything else.
    let clients = descriptors.saturating_sub(500).min(10_000);
    let (before, address) = (resident(pki.service.pid()), pki.service.address());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let connected = Arc::new(AtomicUsize::new(0));
    for client in 0..clients {
        let connected = connected.clone();
        runtime.spawn(async move {
            // More than the service and the kernel hold wait for their turn here.
            let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return };
            let _ = stream.write_all(beginnings[client % beginnings.len()]).await;
            connected.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
    }
    let mut most = before;
    eventually("most of them", || {
        most = most.max(resident(pki.service.pid()));
        (connected.load(Ordering::Relaxed) >= clients * tenths / 10).then_some(())
    });
    (runtime, most - before)
}

#[test]
fn ten_thousand_connections_that_never_come_to_the_point_leave_the_service_well() {
    let _alone = CROWDS.lock().unwrap_or_else(PoisonError::into_inner);
    let pki = dev();
    shown_own(&pki.service);
    // Past the 4,096 places and the kernel's queue: some were cut off, and others took their places.
    let (crowd, grown) = crowd(&pki, &[&[0x16, 3, 1, 2, 0, 1], &[]], 6);
    assert!(grown < 128, "grew by {grown} MiB");
    // They keep nobody out for good: handshakes of others come through while they stay.
    eventually("an answer to somebody else", || {
        Https::open(&pki.service, &Trust::anything()).ok()?.get("/health").ok()
    });
    crowd.shutdown_background();
    eventually("an answer", || (plain_health(&pki.service) == 200).then_some(()));
    assert!(pki.service.log_lines().iter().all(|line| line.level != "error"), "{}", pki.service.log());
    pki.still_works();
}

#[test]
fn ten_thousand_plain_connections_that_ask_nothing_leave_the_service_well() {
    let _alone = CROWDS.lock().unwrap_or_else(PoisonError::into_inner);
    let pki = Pki::dev();
    let beginnings: &[&[u8]] = &[b"", b"GET /pki/status HTTP/1.1\r\nhost: x\r\n", b"PRI * HT"];
    // About all of the 4,096 places.
    let (crowd, grown) = crowd(&pki, beginnings, 4);
    assert!(grown < 128, "grew by {grown} MiB");
    // Once they are gone everybody is answered as before.
    crowd.shutdown_background();
    eventually("an answer", || {
        let answer = Connection::open(pki.service.address()).ok()?.request("GET", "/health", &[], b"");
        answer.ok().filter(|answer| answer.status == 200)
    });
    assert!(pki.service.log_lines().iter().all(|line| line.level != "error"), "{}", pki.service.log());
    pki.still_works();
}
