//! What the HTTP server has no deadline for. It reads the first octets of a connection to tell HTTP/2 from HTTP/1.1
//! before any deadline of its own runs, and waits for ever for a client that does not take its answer: without limits
//! here, such clients keep their places until nobody else gets one.

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

/// A stream that fails its reader unless the version is clear in time, and its writer when nothing goes out in time.
pub(super) struct Patient<S> {
    stream: S,
    /// Of the preface, as much as has come; `None` once the version is clear.
    opening: Option<(usize, Pin<Box<Sleep>>)>,
    write_limit: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, opening_limit: Duration, write_limit: Duration) -> Self {
        Self { stream, opening: Some((0, Box::pin(sleep(opening_limit)))), write_limit, stalled: None }
    }

    /// What a write came to, or the end of patience with it.
    fn in_time<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.write_limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// How much of the preface has come, `None` when it is complete or can't follow any more.
fn preface_after(before: usize, octets: &[u8]) -> Option<usize> {
    let rest = PREFACE.get(before..).unwrap_or_default();
    (octets.len() < rest.len() && rest.starts_with(octets)).then_some(before + octets.len())
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((seen, deadline)) = &mut self.opening {
            match &read {
                Poll::Pending if deadline.as_mut().poll(context).is_ready() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => {}
                Poll::Ready(_) => match preface_after(*seen, &buffer.filled()[before..]) {
                    Some(now) => *seen = now,
                    None => self.opening = None,
                },
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.in_time(context, written)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.in_time(context, written)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, shut)
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
        let mut server = Patient::new(server, LIMIT, LIMIT);
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

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_an_answer_is_cut_off_but_not_who_takes_it_slowly() {
        let (mut client, server) = duplex(64);
        let mut server = Patient::new(server, LIMIT, LIMIT);
        let sending = tokio::spawn(async move { server.write_all(&[0; 1000]).await });
        let mut buffer = [0; 64];
        for _ in 0..5 {
            tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
            client.read_exact(&mut buffer).await.unwrap();
        }
        let start = Instant::now();
        assert_eq!(sending.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), LIMIT);
    }
}
