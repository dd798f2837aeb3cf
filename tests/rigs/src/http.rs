//! A small blocking HTTP/1.1 client: enough to ask our service what a test wants to know.

use crate::RigError;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// Opens a connection for each request.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// One connection that serves several requests.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the service at this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// The same client with another header in every request.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same client with this bearer credential.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    /// GET.
    ///
    /// # Errors
    /// No answer, or none of HTTP.
    pub fn get(&self, path: &str) -> Result<Response, RigError> {
        self.request("GET", path, &[], b"")
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// No answer, or none of HTTP.
    pub fn post(&self, path: &str, body: &Value) -> Result<Response, RigError> {
        self.request("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Any request.
    ///
    /// # Errors
    /// No answer, or none of HTTP.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, RigError> {
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = own.chain(headers.iter().copied()).chain([("connection", "close")]).collect();
        Connection::open(self.address)?.request(method, path, &headers, body)
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: SocketAddr) -> Result<Self, RigError> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream: BufReader::new(stream) })
    }

    /// Sends one request and reads its answer. The connection may be used again unless the answer closes it.
    ///
    /// # Errors
    /// No answer, or none of HTTP.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, RigError> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let message = [head.as_bytes(), b"\r\n", body].concat();
        // A server that refuses a large body answers and closes before it has read it all.
        let sent = self.stream.get_mut().write_all(&message);
        match self.response(method) {
            Err(unanswered) => sent.map_err(RigError::Io).and(Err(unanswered)),
            answered => answered,
        }
    }

    /// The socket, for what no well-behaved client does.
    pub fn socket(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Reads the answer to what was written to the socket.
    ///
    /// # Errors
    /// No answer, or none of HTTP.
    pub fn answer(&mut self) -> Result<Response, RigError> {
        self.response("GET")
    }

    fn response(&mut self, method: &str) -> Result<Response, RigError> {
        let mut line = self.line()?;
        // An interim answer (100 Continue) comes before the real one.
        while line.starts_with("HTTP/1.1 1") {
            while !self.line()?.is_empty() {}
            line = self.line()?;
        }
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status: u16 = status.ok_or_else(|| RigError::Protocol(line.clone()))?;
        let mut response = Response { status, headers: self.headers()?, body: Vec::new() };
        if method != "HEAD" && status != 204 && status != 304 {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    fn headers(&mut self) -> Result<Vec<(String, String)>, RigError> {
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| RigError::Protocol(line.clone()))?;
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }

    fn body(&mut self, response: &Response) -> Result<Vec<u8>, RigError> {
        let mut body = Vec::new();
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16);
                let size = size.map_err(|_| RigError::Protocol(line.clone()))?;
                self.exactly(size, &mut body)?;
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match response.header("content-length").map(str::parse) {
            Some(Ok(length)) => self.exactly(length, &mut body)?,
            Some(Err(_)) => return Err(RigError::Protocol("content-length is no number".into())),
            None => drop(self.stream.read_to_end(&mut body)?),
        }
        Ok(body)
    }

    fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), RigError> {
        let start = body.len();
        body.resize(start + length, 0);
        Ok(self.stream.read_exact(&mut body[start..])?)
    }

    fn line(&mut self) -> Result<String, RigError> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(RigError::Protocol("the connection was closed".into()));
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }
}

impl Response {
    /// A header by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, with � for what is none.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none; the error shows it.
    pub fn json(&self) -> Result<Value, RigError> {
        serde_json::from_slice(&self.body).map_err(|_| RigError::Output(self.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    /// Answers each of these to one request on one connection, and returns the requests.
    fn server(answers: &'static [&'static str]) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let answer = |answer: &&str| {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(request[..read].to_vec()).unwrap()
            };
            answers.iter().map(answer).collect()
        });
        (address, serving)
    }

    #[test]
    fn one_connection_serves_several_requests() {
        let (address, serving) = server(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n",
        ]);
        let mut connection = Connection::open(address).unwrap();
        let mut get = |path| connection.request("GET", path, &[], b"").unwrap();
        assert_eq!(get("/a").text(), "hi");
        assert_eq!(get("/b").text(), "abcde");
        let unchanged = get("/c");
        assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some("\"1\"")));
        assert!(serving.join().unwrap()[2].starts_with("GET /c HTTP/1.1\r\n"));
    }

    #[test]
    fn a_post_carries_the_token_and_its_length() {
        let (address, serving) = server(&["HTTP/1.1 401 No\r\n\r\n{\"code\":\"x\"}"]);
        let answer = Client::new(address).with_token("t").post("/p", &serde_json::json!({"a": 1})).unwrap();
        assert_eq!((answer.status, answer.json().unwrap()["code"].as_str()), (401, Some("x")));
        let request = serving.join().unwrap().remove(0);
        assert!(request.contains("authorization: Bearer t\r\n"), "{request}");
        assert!(request.ends_with("content-length: 7\r\n\r\n{\"a\":1}"), "{request}");
    }
}
