//! A trivial method over one socket beside the same handler over one kept HTTP connection, and the command line.

use crate::{
    Outcome,
    load::{self, Seen},
    process::cpu_of,
    table::{Row, Table},
};
use catalyst_rigs::{Service, catalyst};
use serde_json::Value;
use std::{
    net::TcpStream,
    process::{Command, Stdio},
    time::Instant,
};
use tungstenite::{Message, WebSocket};

/// Calls of the trivial method: the list of the keys that sign tokens.
const CALLS: usize = 20_000;
/// Calls that wait for their answers at the same time, where they do not go one by one.
const TOGETHER: usize = 64;
/// Runs of a command.
const COMMANDS: usize = 30;

/// Measures against a service with a hierarchy, whose system token is this.
pub(crate) fn report(service: &Service, token: &str, table: &mut Table) -> Outcome {
    let (address, pid) = (service.address(), service.pid());
    let rest = load::send(address, pid, &vec![load::get("/auth/keys", token); CALLS], 1)?;
    table.push(Row::seen("HTTP: list of token keys, 1 client", &rest));
    for (together, target) in [(1, "≥ 0.5"), (TOGETHER, "")] {
        let seen = Socket::open(service, token)?.calls(pid, together)?;
        let ratio = seen.per_second() / rest.per_second();
        let what = format!("RPC: list of token keys, 1 socket, {together} at a time");
        table.push(Row::seen(what, &seen).figure(format!("{ratio:.2} × HTTP's rate")).target(target));
    }
    status(service, token, table)
}

/// From the start of `catalyst pki status` to its end.
fn status(service: &Service, token: &str, table: &mut Table) -> Outcome {
    let cpu = cpu_of(service.pid())?;
    let (mut latencies, started) = (Vec::new(), Instant::now());
    for _ in 0..COMMANDS {
        let begun = Instant::now();
        let ended = Command::new(catalyst()?)
            .args(["pki", "status"])
            .env("CATALYST_AUTH_URL", format!("ws://{}/rpc", service.address()))
            .env("CATALYST_AUTH_TOKEN", token)
            .stdout(Stdio::null())
            .status()?;
        latencies.push(begun.elapsed());
        // 1 says that the service is not healthy, which is an answer.
        if !matches!(ended.code(), Some(0 | 1)) {
            return Err(format!("catalyst pki status: {ended}").into());
        }
    }
    let seen = Seen::new(latencies, started.elapsed(), cpu_of(service.pid())?.saturating_sub(cpu));
    table.push(Row::seen("command line: catalyst pki status, start to end", &seen));
    Ok(())
}

/// A socket with the method at hand.
struct Socket {
    socket: WebSocket<TcpStream>,
    /// Where the service exports the method.
    method: i64,
    /// The id of the newest push.
    pushed: u64,
}

impl Socket {
    fn open(service: &Service, token: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(service.address())?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(format!("ws://{}/rpc", service.address()), stream)?;
        let mut opened = Self { socket, method: 0, pushed: 1 };
        opened.send(&serde_json::json!(["push", ["pipeline", 0, ["certs"], [token]]]).to_string())?;
        opened.send(r#"["pull",1]"#)?;
        let answer = opened.answer()?;
        let exported: Value = serde_json::from_str(&answer)?;
        opened.method = exported[2]["list"][1].as_i64().ok_or(answer)?;
        Ok(opened)
    }

    fn send(&mut self, message: &str) -> Outcome {
        Ok(self.socket.write(Message::text(message))?)
    }

    fn answer(&mut self) -> Outcome<String> {
        self.socket.flush()?;
        loop {
            if let Message::Text(text) = self.socket.read()? {
                return Ok(text.to_string());
            }
        }
    }

    /// Calls so often, with so many calls under way.
    fn calls(mut self, pid: u32, together: usize) -> Outcome<Seen> {
        let (mut latencies, cpu, started) = (Vec::with_capacity(CALLS), cpu_of(pid)?, Instant::now());
        for _ in 0..CALLS / together {
            let begun = Instant::now();
            for _ in 0..together {
                self.call()?;
            }
            for _ in 0..together {
                self.take()?;
                latencies.push(begun.elapsed());
            }
        }
        Ok(Seen::new(latencies, started.elapsed(), cpu_of(pid)?.saturating_sub(cpu)))
    }

    fn call(&mut self) -> Outcome {
        self.pushed += 1;
        let method = self.method;
        self.send(&format!(r#"["push",["pipeline",{method},[],[]]]"#))?;
        self.send(&format!(r#"["pull",{}]"#, self.pushed))
    }

    fn take(&mut self) -> Outcome {
        let answer = self.answer()?;
        let id = answer.strip_prefix(r#"["resolve","#).and_then(|rest| rest.split(',').next());
        let id = id.ok_or_else(|| answer.clone())?.to_owned();
        self.send(&format!(r#"["release",{id},1]"#))
    }
}
