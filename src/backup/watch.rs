//! Whoever waits for a backup: is told how far it has come, and may end it.

use super::{BackupError, Result};
use aws_lc_rs::digest;
use std::io::{self, Read, Write};

/// Looks on.
pub trait Watch: Send + Sync {
    /// So many octets of a step are done. `of` is 0 where it is not known.
    fn has_done(&self, step: &'static str, done: u64, of: u64);
    /// Whether to end. What was begun is then cleared away.
    fn is_stopped(&self) -> bool;
}

/// Nobody looks on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn has_done(&self, _: &'static str, _: u64, _: u64) {}

    fn is_stopped(&self) -> bool {
        false
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many octets.
    pub octets: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Counts and hashes what is written.
pub struct Octets<W> {
    stream: W,
    done: u64,
    context: digest::Context,
}

impl<W> Octets<W> {
    /// None so far.
    pub fn new(stream: W) -> Self {
        Self { stream, done: 0, context: digest::Context::new(&digest::SHA256) }
    }

    /// All of it.
    pub fn written(self) -> Written {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.context.finish().as_ref());
        Written { octets: self.done, sha256 }
    }
}

impl<W: Write> Write for Octets<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let octets = self.stream.write(buffer)?;
        self.done += octets as u64;
        self.context.update(&buffer[..octets]);
        Ok(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// # Errors
/// [`BackupError::Interrupted`]
pub(super) fn go_on(watch: &dyn Watch) -> Result<()> {
    if watch.is_stopped() { Err(BackupError::Interrupted) } else { Ok(()) }
}

/// A stream that counts what goes through it, and ends when it is to.
pub(super) struct Counted<'w, S> {
    stream: S,
    watch: &'w dyn Watch,
    step: &'static str,
    done: u64,
    of: u64,
}

impl<'w, S> Counted<'w, S> {
    pub(super) fn new(stream: S, watch: &'w dyn Watch, step: &'static str, of: u64) -> Self {
        Self { stream, watch, step, done: 0, of }
    }

    fn count(&mut self, octets: usize) {
        self.done += octets as u64;
        self.watch.has_done(self.step, self.done, self.of);
    }

    fn stopped(&self) -> io::Result<()> {
        // No name of a failure of the disk: who has stopped it knows why.
        if self.watch.is_stopped() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }
}

impl<S: Read> Read for Counted<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stopped()?;
        let octets = self.stream.read(buffer)?;
        self.count(octets);
        Ok(octets)
    }
}

impl<S: Write> Write for Counted<'_, S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stopped()?;
        let octets = self.stream.write(buffer)?;
        self.count(octets);
        Ok(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
