//! Answers as KMS words them, and those that no KMS gives.

use http_body_util::{BodyExt as _, Empty, Full, combinators::BoxBody};
use hyper::{
    Response, StatusCode,
    body::{Bytes, Frame},
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
};

pub(super) type Body = BoxBody<Bytes, io::Error>;

/// An answer before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn of(body: Value) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body }
    }

    /// An error of a client: 400.
    pub(super) fn error(code: &str, message: impl Into<String>) -> Self {
        let body = json!({"__type": code, "message": message.into()});
        Self { status: StatusCode::BAD_REQUEST, headers: Vec::new(), body }
    }

    /// An error of KMS: 500.
    pub(super) fn failure(code: &str, message: &str) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..Self::error(code, message) }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::error("NotFoundException", format!("Key '{what}' does not exist"))
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::error("ValidationException", message)
    }

    pub(super) fn with(mut self, header: &'static str, value: String) -> Self {
        self.headers.push((header, value));
        self
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }

    pub(super) fn send(&self) -> Response<Body> {
        let bytes = Bytes::from(self.body.to_string());
        self.sent(Full::new(bytes).map_err(never).boxed())
    }

    /// Announces the whole body and breaks off in the middle of it.
    pub(super) fn send_half(&self) -> Response<Body> {
        let whole = self.body.to_string();
        let half = Bytes::copy_from_slice(&whole.as_bytes()[..whole.len() / 2]);
        let mut response = self.sent(BrokenOff { frame: Some(half), sent: false }.boxed());
        response.headers_mut().insert(CONTENT_LENGTH, whole.len().into());
        response
    }

    fn sent(&self, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let own = [(CONTENT_TYPE.as_str(), "application/x-amz-json-1.1".to_owned())];
        for (name, value) in own.iter().chain(&self.headers) {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(*name, value);
            }
        }
        response
    }
}

/// 503 as a load balancer gives it: nothing but the status.
pub(super) fn nothing(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(never).boxed());
    *response.status_mut() = status;
    response
}

/// What a web proxy that wants a login puts in the place of any page.
pub(super) fn page() -> Response<Body> {
    const PAGE: &[u8] = b"<!DOCTYPE html><html><body><h1>Please log in to use the network</h1></body></html>";
    let mut response = Response::new(Full::new(Bytes::from_static(PAGE)).map_err(never).boxed());
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/html"));
    response
}

fn never(never: Infallible) -> io::Error {
    match never {}
}

/// Gives one frame, lets it be sent, and fails.
struct BrokenOff {
    frame: Option<Bytes>,
    sent: bool,
}

impl hyper::body::Body for BrokenOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(frame) = self.frame.take() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        if !self.sent {
            // hyper sends what it has when there is no more for now.
            self.sent = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("broken off"))))
    }
}
