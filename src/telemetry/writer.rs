//! Lines leave through one thread, so that a slow reader of standard error never holds up a request.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

/// Lines that may wait for the reader: a few MB. What comes beyond is dropped and counted.
const QUEUE: usize = 16_384;
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);
/// After the first line, more are waited for this long: under load, lines then share one write, and handing one in
/// wakes nobody.
const GATHER: Duration = Duration::from_millis(2);

enum Job {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Where lines are handed in.
#[derive(Clone)]
pub(super) struct LogWriter {
    jobs: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
}

impl LogWriter {
    pub(super) fn send(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(Job::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes the lines that are still queued when it is dropped, for at most two seconds.
#[must_use = "lines that are still queued are written when the guard is dropped"]
pub struct LogGuard(SyncSender<Job>);

impl LogGuard {
    /// Waits until every line logged so far is written, for at most two seconds.
    pub fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        let mut job = Job::Flush(done);
        // The queue may be full, and a reader that hangs must not keep the process from ending.
        for _ in 0..FLUSH_DEADLINE.as_millis() / 10 {
            match self.0.try_send(job) {
                Ok(()) => {
                    let _ = written.recv_timeout(FLUSH_DEADLINE);
                    return;
                }
                Err(TrySendError::Full(same)) => job = same,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Starts the thread; `lost` renders the line that says how many were dropped.
pub(super) fn start(
    out: impl Write + Send + 'static,
    lost: impl Fn(u64) -> Vec<u8> + Send + 'static,
) -> io::Result<(LogWriter, LogGuard)> {
    let (jobs, queue) = mpsc::sync_channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = LogWriter { jobs: jobs.clone(), dropped: Arc::clone(&dropped) };
    thread::Builder::new().name("log".into()).spawn(move || write_all(&queue, out, &dropped, &lost))?;
    Ok((writer, LogGuard(jobs)))
}

fn write_all(
    queue: &Receiver<Job>,
    mut out: impl Write,
    dropped: &AtomicU64,
    lost: &impl Fn(u64) -> Vec<u8>,
) {
    const TOGETHER: usize = 64 * 1024;
    let mut buffer = Vec::new();
    let mut waiting = Vec::new();
    while let Ok(first) = queue.recv() {
        if matches!(first, Job::Line(_)) {
            thread::sleep(GATHER);
        }
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Line(line) => buffer.extend_from_slice(&line),
                Job::Flush(done) => waiting.push(done),
            }
            next = if buffer.len() < TOGETHER { queue.try_recv().ok() } else { None };
        }
        match dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            count => buffer.extend_from_slice(&lost(count)),
        }
        // Nobody reads any more (a closed pipe): there is nobody left to tell.
        let _ = out.write_all(&buffer).and_then(|()| out.flush());
        buffer.clear();
        waiting.drain(..).for_each(|done: SyncSender<()>| {
            let _ = done.send(());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_in_order_before_the_guard_is_gone() {
        let out = Shared::default();
        let (writer, guard) = start(out.clone(), |_| Vec::new()).unwrap();
        for number in 0..1000 {
            writer.send(format!("{number}\n").into_bytes());
        }
        drop(guard);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert!(text.lines().map(|line| line.parse::<u32>().unwrap()).eq(0..1000));
    }

    #[test]
    fn a_reader_that_hangs_costs_lines_and_not_time() {
        let out = Shared::default();
        let (writer, guard) = start(out.clone(), |count| format!("lost {count}\n").into_bytes()).unwrap();
        let reader = out.0.lock().unwrap();
        // The thread may hold 64 KiB of them besides the queue.
        for _ in 0..QUEUE * 4 {
            writer.send(b"x\n".to_vec());
        }
        drop(reader);
        drop(guard);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let lost: usize =
            text.lines().filter_map(|line| line.strip_prefix("lost ")?.parse::<usize>().ok()).sum();
        let written = text.lines().filter(|line| *line == "x").count();
        assert!(lost > 0);
        assert_eq!(written + lost, QUEUE * 4);
    }

    #[test]
    fn a_closed_pipe_is_survived() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (writer, guard) = start(Closed, |_| Vec::new()).unwrap();
        writer.send(b"x\n".to_vec());
        guard.flush();
        writer.send(b"y\n".to_vec());
        drop(guard);
    }
}
