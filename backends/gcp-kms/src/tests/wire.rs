//! A server of HTTP/1.1 that answers what a test says, whether that is HTTP or not.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `POST /v1/…`.
    pub(crate) line: String,
    /// Without the scheme of the token.
    pub(crate) token: Option<String>,
    pub(crate) body: String,
}

#[derive(Clone)]
pub(crate) enum Reply {
    /// Sent as it is; the connection stays.
    Whole(Vec<u8>),
    /// Sent as it is; then the connection is closed.
    Cut(Vec<u8>),
    /// Sent as it is, and its end again and again.
    Endless(Vec<u8>),
    /// The connection stays open, and nothing comes.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::with(status, "Content-Type: application/json\r\n", &body.to_string())
    }

    pub(crate) fn with(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Whole(
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes(),
        )
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// Answers as its script says, and keeps what it was asked.
pub(crate) struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, connections): (Arc<Mutex<Vec<Request>>>, Arc<AtomicUsize>) = Default::default();
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(script)));
        let (seen, count, plays) = (asked.clone(), connections.clone(), script.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                tokio::spawn(serve(connection, seen.clone(), plays.clone()));
            }
        });
        Self { port, asked, connections, script }
    }

    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn now(&self, reply: Reply) {
        self.script(move |_| reply.clone());
    }

    pub(crate) fn script(&self, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// What was asked since the last look.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
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
            Reply::Endless(octets) => {
                connection.write_all(&octets).await.ok()?;
                loop {
                    connection.write_all(&octets[octets.len() - 10..]).await.ok()?;
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
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
            let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
            if let Some(body) = octets.get(end + 4..end + 4 + length) {
                return Some(Request {
                    line: head.lines().next().unwrap().to_owned(),
                    token: header("authorization").map(|value| value.replace("Bearer ", "")),
                    body: String::from_utf8(body.to_vec()).unwrap(),
                });
            }
        }
        if connection.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    }
}
