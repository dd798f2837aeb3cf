//! Where the service is.

use super::{ClientError, Result};
use hyper::Uri;
use std::{fmt, net::IpAddr, str::FromStr};

/// The address of a service: what `--auth-url` says without its path, for a WebSocket URL names the same host's REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    tls: bool,
    host: String,
    port: u16,
}

/// Where a service of this machine is.
pub const DEFAULT_URL: &str = "ws://localhost:4020/rpc";

const FORM: &str = "give it as ws://, wss://, http:// or https://, then a host, and a port if it is not the usual one: wss://auth.example.org:4020/rpc";

impl ServiceUrl {
    /// Whether it is reached through TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host can only be this machine. `localhost` is a name like any other to a resolver, so a connection
    /// to it has to be looked at as well.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// `host:port`, as the `Host` header wants it.
    pub fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl FromStr for ServiceUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            // What stands before an '@' is somebody's password.
            let shown = if text.contains('@') { "the service's URL".into() } else { format!("'{text}'") };
            ClientError::usage(format!("{shown} {what}")).with_hint(FORM)
        };
        let uri: Uri = text.trim().parse().map_err(|_| wrong("is no URL"))?;
        let (tls, usual) = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws" | "http") => (false, 80),
            Some("wss" | "https") => (true, 443),
            Some(_) => return Err(wrong("has another scheme")),
            None => return Err(wrong("has no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("names a user; credentials go into --token-file or CATALYST_AUTH_TOKEN"));
        }
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        if !is_host(host) {
            return Err(wrong("names no host"));
        }
        // A port that is none, as in 'host:99999', must not quietly become the usual one.
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().len() == authority.host().len() => usual,
            None => return Err(wrong("has a port that is none")),
        };
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

fn is_host(host: &str) -> bool {
    let name = |host: &str| {
        host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
    };
    host.parse::<IpAddr>().is_ok() || name(host.strip_suffix('.').unwrap_or(host))
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Kind;

    #[test]
    fn a_websocket_url_names_the_same_hosts_rest() {
        for (given, base) in [
            (DEFAULT_URL, "http://localhost:4020"),
            ("wss://auth.example.org/rpc", "https://auth.example.org:443"),
            ("https://Auth.Example.org:4020", "https://auth.example.org:4020"),
            ("http://127.0.0.1:4020/some/path?x=1", "http://127.0.0.1:4020"),
            ("WSS://[::1]:4020/rpc", "https://[::1]:4020"),
        ] {
            assert_eq!(given.parse::<ServiceUrl>().unwrap().to_string(), base, "{given}");
        }
    }

    #[test]
    fn what_is_no_service_url_is_refused_with_the_form() {
        for bad in [
            "",
            "localhost:4020",
            "auth.example.org",
            "ftp://auth.example.org",
            "https://",
            "https:///rpc",
            "https://user:secret@auth.example.org",
            "https://user@auth.example.org",
            "https://auth.example.org:99999/",
            "https://auth.example.org:/",
            "https://a..b/",
            "https://a b/",
        ] {
            let error = bad.parse::<ServiceUrl>().unwrap_err();
            assert_eq!((error.kind, error.hint.as_deref()), (Kind::Usage, Some(FORM)), "{bad}");
            assert!(!error.message.contains("secret"));
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |url: &str| url.parse::<ServiceUrl>().unwrap().is_loopback();
        for here in ["ws://localhost:1", "ws://127.0.0.1", "ws://127.9.9.9", "wss://[::1]"] {
            assert!(loopback(here), "{here}");
        }
        for elsewhere in ["ws://localhost.example.org", "ws://10.0.0.1", "ws://0.0.0.0", "ws://localhosts"] {
            assert!(!loopback(elsewhere), "{elsewhere}");
        }
    }
}
