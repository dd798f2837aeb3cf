//! Clients that cost little beside what they measure: a thread and a kept connection each, whole requests made
//! beforehand, answers read no further than their length.

use crate::{Outcome, process::cpu_of};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

/// The name that every SVID of the service has.
const SERVER_NAME: &str = "auth";

/// What a load saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Of each request, shortest first.
    latencies: Vec<Duration>,
    pub(crate) took: Duration,
    /// What one request cost the service's process.
    pub(crate) cpu: Duration,
}

impl Seen {
    pub(crate) fn new(mut latencies: Vec<Duration>, took: Duration, cpu: Duration) -> Self {
        latencies.sort_unstable();
        let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX).max(1);
        Self { latencies, took, cpu: cpu / count }
    }

    /// Several rounds of one thing as one.
    pub(crate) fn joined(rounds: Vec<Self>) -> Self {
        let (mut latencies, mut took, mut cpu) = (Vec::new(), Duration::ZERO, Duration::ZERO);
        for round in rounds {
            cpu += round.cpu * u32::try_from(round.latencies.len()).unwrap_or(u32::MAX);
            took += round.took;
            latencies.extend(round.latencies);
        }
        Self::new(latencies, took, cpu)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency that this part of all requests (0 to 1) stays within.
    pub(crate) fn within(&self, part: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
    }
}

/// How clients reach the service.
#[derive(Clone, Default)]
pub(crate) struct Way {
    /// HTTPS, with these settings.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Each request has a connection of its own.
    pub(crate) anew: bool,
}

/// Sends all requests over plain HTTP through so many clients, which keep their connections. Every answer must be a 200.
pub(crate) fn send(address: SocketAddr, pid: u32, requests: &[Vec<u8>], clients: usize) -> Outcome<Seen> {
    send_over(&Way::default(), address, pid, requests, clients)
}

/// As [`send`], another way.
pub(crate) fn send_over(
    way: &Way,
    address: SocketAddr,
    pid: u32,
    requests: &[Vec<u8>],
    clients: usize,
) -> Outcome<Seen> {
    let ready = Barrier::new(clients + 1);
    let shares = (0..clients)
        .map(|client| &requests[client * requests.len() / clients..(client + 1) * requests.len() / clients]);
    thread::scope(|scope| {
        let sending: Vec<_> = shares
            .map(|share| {
                let ready = &ready;
                scope.spawn(move || {
                    let connection = Connection::open(way, address);
                    ready.wait();
                    connection?.send_all(share)
                })
            })
            .collect();
        let cpu = cpu_of(pid)?;
        ready.wait();
        let started = Instant::now();
        let mut latencies = Vec::with_capacity(requests.len());
        for client in sending {
            latencies.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok(Seen::new(latencies, started.elapsed(), cpu_of(pid)?.saturating_sub(cpu)))
    })
}

impl Way {
    fn dial(&self, address: SocketAddr) -> Outcome<Box<dyn Stream>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let connection = ClientConnection::new(tls.clone(), SERVER_NAME.try_into()?)?;
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }
}

/// A GET, whole.
pub(crate) fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

trait Stream: io::Read + io::Write {}
impl<T: io::Read + io::Write> Stream for T {}

struct Connection<'a> {
    way: &'a Way,
    address: SocketAddr,
    stream: Box<dyn Stream>,
    answer: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(way: &'a Way, address: SocketAddr) -> Outcome<Self> {
        Ok(Self { way, address, stream: way.dial(address)?, answer: vec![0; 64 * 1024] })
    }

    fn send_all(mut self, requests: &[Vec<u8>]) -> Outcome<Vec<Duration>> {
        requests
            .iter()
            .map(|request| {
                let started = Instant::now();
                if self.way.anew {
                    self.stream = self.way.dial(self.address)?;
                }
                self.stream.write_all(request)?;
                self.read_answer()?;
                Ok(started.elapsed())
            })
            .collect()
    }

    fn read_answer(&mut self) -> Outcome {
        let mut read = 0;
        loop {
            let more = self.stream.read(&mut self.answer[read..])?;
            if more == 0 {
                return Err("the service closed a connection".into());
            }
            read += more;
            match whole_length(&self.answer[..read]) {
                Some(length) if read >= length => break,
                _ => {}
            }
        }
        if self.answer.starts_with(b"HTTP/1.1 200 ") {
            return Ok(());
        }
        Err(format!("the service answered {}", String::from_utf8_lossy(&self.answer[..read])).into())
    }
}

/// How long the answer is with its head, once the head is there.
fn whole_length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(head + length.parse::<usize>().ok()?)
}
