//! The first octets of a connection. The server reads them to tell HTTP/2 from HTTP/1.1 before any of its own deadlines
//! runs; without one here, a client that says nothing keeps its place for ever.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What an HTTP/2 client opens with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose reader fails unless the version is clear by the deadline.
pub(super) struct Opening<S> {
    stream: S,
    /// Of the preface, as much as has come; `None` once the version is clear.
    pending: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> Opening<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, pending: Some((0, Box::pin(sleep(limit)))) }
    }
}

/// How much of the preface has come, `None` when it is complete or can't follow any more.
fn preface_after(before: usize, octets: &[u8]) -> Option<usize> {
    let rest = PREFACE.get(before..).unwrap_or_default();
    (octets.len() < rest.len() && rest.starts_with(octets)).then_some(before + octets.len())
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((seen, deadline)) = &mut self.pending {
            match &read {
                Poll::Pending if deadline.as_mut().poll(context).is_ready() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => {}
                Poll::Ready(_) => match preface_after(*seen, &buffer.filled()[before..]) {
                    Some(now) => *seen = now,
                    None => self.pending = None,
                },
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    const LIMIT: Duration = Duration::from_secs(30);

    /// Sends these octets and nothing more; gives how long until the reader fails, if it does within an hour.
    async fn cut_off_after(octets: &[u8]) -> Option<Duration> {
        let (mut client, server) = duplex(64);
        let mut server = Opening::new(server, LIMIT);
        client.write_all(octets).await.unwrap();
        let start = Instant::now();
        let reading = async {
            let mut buffer = [0; 8];
            while server.read(&mut buffer).await.is_ok() {}
        };
        let ended = tokio::time::timeout(Duration::from_secs(3600), reading).await;
        ended.is_ok().then(|| start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_say_which_http_it_speaks_is_cut_off() {
        for octets in [&b""[..], b"P", b"PRI * HTTP/2.0", &PREFACE[..23]] {
            assert_eq!(cut_off_after(octets).await, Some(LIMIT), "{octets:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_version_is_clear_other_deadlines_count() {
        for octets in [&b"G"[..], b"PUT", b"PRI * HTTP/1.1", PREFACE] {
            assert_eq!(cut_off_after(octets).await, None, "{octets:?}");
        }
    }
}
