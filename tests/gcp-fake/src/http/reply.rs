//! Answers.

use crate::refused::Refused;
use catalyst_rigs::gcp::api::Code;
use serde_json::Value;

/// How an answer comes to the caller.
#[derive(Debug, PartialEq)]
pub(crate) enum Delivery {
    Whole(Reply),
    Truncated(Reply),
    Reset,
    Never,
}

/// An answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    /// Whether it is the metadata server's.
    flavored: bool,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        Self {
            status: 200,
            kind: "application/json; charset=UTF-8",
            flavored: false,
            body: value.to_string().into_bytes(),
        }
    }

    pub(crate) fn refused(refused: &Refused) -> Self {
        Self { status: refused.code.http_status(), ..Self::json(&refused.body()) }
    }

    /// What is not Google's API.
    pub(crate) fn no_such_method(path: &str) -> Self {
        Self::refused(&Refused::new(Code::NotFound, &format!("Method not found: {path}")))
    }

    /// A page of a proxy that stands between.
    pub(crate) fn page(status: u16) -> Self {
        let body =
            format!("<!DOCTYPE html>\n<html><body><h1>{status}</h1>The proxy is sorry.</body></html>\n");
        Self { status, kind: "text/html", flavored: false, body: body.into_bytes() }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self { status: 200, kind: "application/text", flavored: false, body: text.into() }
    }

    /// With the header by which clients know the metadata server.
    pub(crate) fn with_flavor(self) -> Self {
        Self { flavored: true, ..self }
    }

    /// As it goes over the wire.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {} -\r\ncontent-type: {}\r\n{}content-length: {}\r\n\r\n",
            self.status,
            self.kind,
            if self.flavored { "metadata-flavor: Google\r\n" } else { "" },
            self.body.len(),
        );
        [head.as_bytes(), &self.body].concat()
    }
}
