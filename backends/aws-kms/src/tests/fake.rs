//! A fake of KMS: JSON over HTTP/1.1, one Region per path.

use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) region: String,
    /// Without `TrentService.`.
    pub(super) operation: String,
    /// The access key id that signed it.
    pub(super) who: String,
    pub(super) body: Value,
}

pub(super) enum Reply {
    /// Sent as it is; the connection stays.
    Whole(Vec<u8>),
    /// Sent as it is; then the connection is closed.
    Cut(Vec<u8>),
    /// The connection stays open, and nothing comes.
    Hang,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::with(status, "Content-Type: application/x-amz-json-1.1\r\n", &body.to_string())
    }

    pub(super) fn with(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Whole(
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes(),
        )
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// Answers as its script says, and keeps what it was asked.
pub(super) struct Fake {
    port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Fake {
    pub(super) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(script)));
        let (seen, plays) = (asked.clone(), script.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, seen.clone(), plays.clone()));
            }
        });
        Self { port, asked, script }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{{region}}", self.port)
    }

    pub(super) fn now(&self, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// What was asked since the last look.
    pub(super) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Operation and Region of what was asked since the last look.
    pub(super) fn calls(&self) -> Vec<String> {
        self.take().into_iter().map(|request| format!("{} {}", request.operation, request.region)).collect()
    }
}

async fn serve(
    mut connection: TcpStream,
    asked: Arc<Mutex<Vec<Request>>>,
    script: Arc<Mutex<Arc<Script>>>,
) -> Option<()> {
    loop {
        let request = read(&mut connection).await?;
        asked.lock().unwrap().push(request.clone());
        let script = script.lock().unwrap().clone();
        match script(&request) {
            Reply::Whole(octets) => connection.write_all(&octets).await.ok()?,
            Reply::Cut(octets) => {
                connection.write_all(&octets).await.ok()?;
                return None;
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}

async fn read(connection: &mut TcpStream) -> Option<Request> {
    let mut octets = Vec::new();
    loop {
        if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(octets[..end].to_vec()).unwrap();
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length: usize = header("content-length").unwrap().parse().unwrap();
            if octets.len() >= end + 4 + length {
                let who = header("authorization").unwrap();
                return Some(Request {
                    region: head.split('/').nth(1).unwrap().split(' ').next().unwrap().to_owned(),
                    operation: header("x-amz-target").unwrap().replace("TrentService.", ""),
                    who: who.split("Credential=").nth(1).unwrap().split('/').next().unwrap().to_owned(),
                    body: serde_json::from_slice(&octets[end + 4..]).unwrap(),
                });
            }
        }
        if connection.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    }
}
