//! The service as its command line sees it: JSON over HTTP, towards a server that was pinned.
//!
//! A token leaves this module only over a connection whose server was verified, or that stays on this machine, or
//! whose lack of protection the operator asked for. Each request has a connection of its own, so that each is verified.

mod answer;
pub mod audit;
mod certificate;
mod change;
mod connection;
mod error;
pub mod heads;
pub mod sealed;
mod token;
mod trust;
mod url;
mod verifier;

#[cfg(test)]
pub(crate) mod tests;

pub use certificate::{Certificate, Request as CertificationRequest, bundle_pem};
pub use error::{ClientError, Kind, Result};
pub use token::{TokenSources, read as read_token_file, read_text as read_token};
pub use trust::{Trust, TrustOptions};
pub use url::{DEFAULT_URL, ServiceUrl};

use connection::Endpoint;
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};

/// Where the service is, how it is known, and who asks.
#[derive(Debug)]
pub struct Options {
    /// `--auth-url`
    pub url: ServiceUrl,
    /// What was pinned.
    pub trust: Trust,
    /// Plain HTTP to another machine is wanted.
    pub insecure_http: bool,
    /// The credential.
    pub token: Option<SecretString>,
}

/// A service that can be asked.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    token: Option<SecretString>,
}

impl Client {
    /// Finds the way to the service. With a root fingerprint, this asks the service for its bundle, without the token.
    ///
    /// # Errors
    /// No pin for TLS, plain HTTP to another machine, or a pin that does not fit.
    pub async fn open(options: Options) -> Result<Self> {
        let endpoint = trust::resolve(options.url, &options.trust, options.insecure_http).await?;
        Ok(Self { endpoint, token: options.token })
    }

    /// GET, with the parameters of the query that have a value.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that is not the service's.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<T> {
        self.ask(Method::GET, path, &target(path, query), Bytes::new()).await
    }

    /// GET of something public that is no JSON, as it comes. The token stays here.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that is not of this content type.
    pub async fn download(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        content: &'static str,
    ) -> Result<Bytes> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(content))]);
        let target = target(path, query);
        let answer = self.endpoint.exchange(Method::GET, &target, headers, Bytes::new()).await?;
        answer::bytes(answer, &self.endpoint.url, path, content)
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that is not the service's.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::failed(error.to_string()))?;
        self.ask(Method::POST, path, path, Bytes::from(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        target: &str,
        body: Bytes,
    ) -> Result<T> {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(ACCEPT, json.clone());
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, json);
        }
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, bearer(token)?);
        }
        let answer = self.endpoint.exchange(method.clone(), target, headers, body).await?;
        let read = answer::read(&answer, &self.endpoint.url, path, self.token.is_some());
        // What stands in between has lost the service's answer, or the service its own patience.
        let is_lost = matches!(answer.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
        read.map_err(|error| if is_lost { change::perhaps_done(error, &method, path) } else { error })
    }
}

/// The path with the parameters of the query that have a value.
fn target(path: &str, query: &[(&str, Option<String>)]) -> String {
    let given = query.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    let query: Vec<_> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

fn bearer(token: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| ClientError::usage("the token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The value of a query's parameter (RFC 3986, 2.1).
fn encoded(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

/// Reads a certificate as a server's is read whose chain holds. For fuzzing alone.
#[doc(hidden)]
pub fn look_at(der: &[u8]) {
    let _ = certificate::holder(der);
    let shown = [der, der].map(|der| rustls::pki_types::CertificateDer::from(der.to_vec()));
    let _ = verifier::root_of(&shown);
}

/// A text from elsewhere, without what would steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a character steers a terminal: a control character, or one that turns the order of the text after it.
pub fn steers(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || turns
}
