//! The `catalyst` binary as a process of the test: started on a free port, stopped by its id.

use crate::{RigError, http, logs::LogLine};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(30);

/// The `catalyst` binary: `CATALYST_RIG_BINARY`, else the one that was built with the running test.
///
/// # Errors
/// It is not there.
pub fn catalyst() -> Result<PathBuf, RigError> {
    if let Some(path) = env::var_os("CATALYST_RIG_BINARY") {
        return Ok(path.into());
    }
    // A test runs from target/<profile>/deps, a benchmark from target/<profile>.
    let exe = env::current_exe()?;
    let built = exe.ancestors().skip(1).take(2).map(|directory| directory.join("catalyst"));
    built
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| RigError::Missing { what: "the catalyst binary".into() })
}

/// How a service is started.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    data_dir: PathBuf,
    scratch: Option<TempDir>,
}

impl Launch {
    /// `catalyst serve --dev` on a free port of the loopback interface, in a data directory of its own that goes
    /// with the [`Service`]. Its log is JSON.
    ///
    /// # Errors
    /// There is no binary, or no directory can be made.
    pub fn dev() -> Result<Self, RigError> {
        let scratch = TempDir::new()?;
        let mut launch = Self::new(&catalyst()?, scratch.path()).arg("--dev");
        launch.scratch = Some(scratch);
        Ok(launch)
    }

    /// `catalyst serve` in a data directory that the test keeps, with that binary. Nothing of the test's own
    /// `CATALYST_` and `OTEL_` variables reaches it.
    #[must_use]
    pub fn new(binary: &Path, data_dir: &Path) -> Self {
        Self::of(Command::new(binary), data_dir)
    }

    /// The same through another program that ends by executing what follows its own arguments, as `setpriv` does, so
    /// that the process is the service's.
    #[must_use]
    pub fn through(wrapper: &[&str], binary: &Path, data_dir: &Path) -> Self {
        let (program, args) = wrapper.split_first().unwrap_or((&"env", &[]));
        let mut command = Command::new(program);
        command.args(args).arg(binary);
        Self::of(command, data_dir)
    }

    fn of(mut command: Command, data_dir: &Path) -> Self {
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CATALYST_") || name.starts_with("OTEL_")) {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .current_dir(data_dir)
            .env("CATALYST_PKI_CERTS_DB", data_dir.join("certs.db"))
            .env("CATALYST_PKI_LISTEN", "127.0.0.1:0")
            .env("CATALYST_PKI_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, data_dir: data_dir.into(), scratch: None }
    }

    /// Where it will keep its data.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Another argument.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    /// Another variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it and waits until it says where it listens.
    ///
    /// # Errors
    /// It ends before, or says nothing for half a minute. The error shows its log.
    pub fn start(self) -> Result<Service, RigError> {
        let mut service = self.spawn()?;
        service.wait_until_listening()?;
        Ok(service)
    }

    /// Starts it and waits for its end: for starts that must fail. The log has what it printed.
    ///
    /// # Errors
    /// It can't be started, or still runs after half a minute.
    pub fn run_to_end(self) -> Result<(ExitStatus, String), RigError> {
        let mut service = self.spawn()?;
        let status = service.wait(START)?;
        Ok((status, service.log()))
    }

    /// Starts it and waits for nothing.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn(mut self) -> Result<Service, RigError> {
        let mut child = self.command.spawn()?;
        let log = Arc::new(Log::default());
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
            child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        ];
        let readers = streams.into_iter().flatten().map(|stream| {
            let log = Arc::clone(&log);
            thread::spawn(move || log.fill(stream))
        });
        let readers = readers.collect();
        Ok(Service {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            log,
            readers,
            data_dir: self.data_dir,
            _scratch: self.scratch,
        })
    }
}

/// A running service. It is killed when this is dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    address: SocketAddr,
    log: Arc<Log>,
    readers: Vec<thread::JoinHandle<()>>,
    data_dir: PathBuf,
    _scratch: Option<TempDir>,
}

impl Service {
    /// Waits until it says where it listens.
    ///
    /// # Errors
    /// It ends before, or says nothing for half a minute. The error shows its log.
    pub fn wait_until_listening(&mut self) -> Result<(), RigError> {
        let line = self.wait_for("Listening")?;
        let address = line.property("address").and_then(|address| address.parse().ok());
        self.address = address.ok_or_else(|| RigError::Output(line.raw.clone()))?;
        Ok(())
    }

    /// Where it listens; nowhere until that is known.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client that opens a connection for each request.
    #[must_use]
    pub fn http(&self) -> http::Client {
        http::Client::new(self.address)
    }

    /// Everything it printed so far, on both streams.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().join("\n")
    }

    /// Its log lines so far.
    #[must_use]
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.log.lock().iter().filter_map(|line| LogLine::parse(line)).collect()
    }

    /// Waits for a line with this message (or one that begins so and goes on with `: `).
    ///
    /// # Errors
    /// The service ended, or said nothing of the kind for half a minute.
    pub fn wait_for(&mut self, message: &str) -> Result<LogLine, RigError> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(line) = self.said(message) {
                return Ok(line);
            }
            if let Some(status) = self.child.try_wait()? {
                self.join_readers();
                // Its last words may have come after the look above.
                if let Some(line) = self.said(message) {
                    return Ok(line);
                }
                return Err(self.failure(format!("the service ended before '{message}' ({status})")));
            }
            if Instant::now() > deadline {
                return Err(self.failure(format!("the service never said '{message}'")));
            }
            self.log.wait_for_more(Duration::from_millis(50));
        }
    }

    fn said(&self, message: &str) -> Option<LogLine> {
        self.log_lines().into_iter().find(|line| {
            line.message.strip_prefix(message).is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
        })
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// It still runs after half a minute.
    pub fn stop(&mut self) -> Result<ExitStatus, RigError> {
        self.signal(Signal::TERM)?;
        self.wait(STOP)
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// It ended before.
    pub fn kill(&mut self) -> Result<ExitStatus, RigError> {
        self.child.kill()?;
        self.wait(STOP)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs when the time is over.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, RigError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.join_readers();
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(self.failure("the service still runs".into()));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It ended before.
    pub fn signal(&self, signal: Signal) -> Result<(), RigError> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| RigError::Output("the process has no id".into()))?;
        kill_process(pid, signal).map_err(|error| RigError::Io(error.into()))
    }

    fn join_readers(&mut self) {
        // A reader that panicked has left its lines; that is all it was for.
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
    }

    fn failure(&self, what: String) -> RigError {
        RigError::Service { what, log: self.log() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Log {
    fn fill(&self, stream: impl Read) {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            self.lock().push(line);
            self.more.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_more(&self, limit: Duration) {
        drop(self.more.wait_timeout(self.lock(), limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    /// A shell script in the place of the binary.
    fn script(directory: &Path, text: &str) -> PathBuf {
        let path = directory.join("fake");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    const LISTENING: &str = r#"echo '{"timestamp":1,"level":"info","category":"catalyst.pki","message":"Listening","properties":{"address":"127.0.0.1:4711"}}' >&2"#;

    #[test]
    fn a_service_is_found_where_it_says_and_stops_when_asked() {
        let directory = TempDir::new().unwrap();
        let binary = script(
            directory.path(),
            &format!("trap 'exit 7' TERM\n{LISTENING}\nwhile :; do sleep 0.05; done"),
        );
        let mut service = Launch::new(&binary, directory.path()).start().unwrap();
        assert_eq!(service.address().port(), 4711);
        assert_eq!(service.stop().unwrap().code(), Some(7));
    }

    #[test]
    fn a_service_that_ends_shows_its_log() {
        let directory = TempDir::new().unwrap();
        let binary = script(directory.path(), "echo 'error: port in use' >&2; exit 1");
        let error = Launch::new(&binary, directory.path()).start().unwrap_err().to_string();
        assert!(error.contains("port in use"), "{error}");
        let (status, log) = Launch::new(&binary, directory.path()).run_to_end().unwrap();
        assert_eq!((status.code(), log.as_str()), (Some(1), "error: port in use"));
    }
}
