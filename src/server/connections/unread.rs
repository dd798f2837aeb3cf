//! What a client still sends when its answer is there already. Over HTTP/2 a body that nobody reads any more is answered
//! with a reset of the stream, which may overtake the answer, or make the client throw it away (RFC 9113, 8.1: it should
//! not): with curl every second refusal would come to nothing. So what little there is of it is read, and thrown away.

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::runtime::Handle;

/// Nobody who means well sends more octets to this service, nor for longer.
const MOST: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_secs(5);

/// The body of a request over HTTP/2.
pub(super) struct Unread(Option<Incoming>);

impl Unread {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // Where the runtime ends, so does the connection.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(LONGEST, async move {
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > MOST {
                    return;
                }
            }
        }));
    }
}
