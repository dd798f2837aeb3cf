//! Requests.

use std::io::{self, BufRead, Read as _};

/// The longest body: data of 64 KiB in base64 and what surrounds it fit ten times.
const LONGEST_BODY: u64 = 1 << 20;
const LONGEST_LINE: u64 = 1 << 14;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Decoded.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next request, `None` at the end of the connection.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(None);
        }
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::other("no request line"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.into(),
            path: decode(path),
            query: pairs(query),
            headers: headers(reader)?,
            body: Vec::new(),
        };
        request.body = body(reader, &request)?;
        Ok(Some(request))
    }

    /// A header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// What a form's body holds.
    pub(crate) fn form(body: &[u8]) -> Vec<(String, String)> {
        pairs(&String::from_utf8_lossy(body))
    }

    /// The bearer token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { return Ok(headers) };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn body(reader: &mut impl BufRead, request: &Request) -> io::Result<Vec<u8>> {
    if request.header("transfer-encoding").is_some() {
        return Err(io::Error::other("the fake reads no chunks"));
    }
    let length = request.header("content-length").map_or(Ok(0), str::parse);
    let length: u64 = length.map_err(|_| io::Error::other("content-length is no number"))?;
    if length > LONGEST_BODY {
        return Err(io::Error::other("the body is too long"));
    }
    let mut body = Vec::new();
    if reader.take(length).read_to_end(&mut body)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(LONGEST_LINE).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (decode(name), decode(&value.replace('+', " ")))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.split_at_checked(2)).flatten();
        let escaped = escaped.and_then(|(digits, tail)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, tail))
        });
        let (octet, tail) = escaped.unwrap_or((first, tail));
        octets.push(octet);
        rest = tail;
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn a_query_of_googles_clients_is_read() {
        let sent = b"POST /v1/a%3Ab?%24alt=json%3Benum-encoding%3Dint&filter=x+y HTTP/1.1\r\n\
            Authorization: Bearer t\r\ncontent-length: 2\r\n\r\n{}";
        let request = Request::read(&mut &sent[..]).unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.token()), ("/v1/a:b", Some("t")));
        assert_eq!(request.parameter("$alt"), Some("json;enum-encoding=int"));
        assert_eq!(request.parameter("filter"), Some("x y"));
        assert_eq!(request.body, b"{}");
        assert!(Request::read(&mut &b""[..]).unwrap().is_none());
        assert!(Request::read(&mut &b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nshort"[..]).is_err());
    }
}
