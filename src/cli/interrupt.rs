//! A command that is ended before its time, and clears away what it has begun on this machine.

use crate::client::{ClientError, Result};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What ends a command (POSIX): Ctrl-C, a closed terminal, `kill`.
const KINDS: [SignalKind; 3] = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()];

/// Runs `work` to its end or to the first of those signals, and then drops it. The exit code is then 128 and the
/// signal's number, as a shell has it; `tell` says what that means.
pub(super) async fn clearing_away(
    work: impl Future<Output = Result<ExitCode>>,
    tell: fn(),
) -> Result<ExitCode> {
    let listen = |kind| signal(kind).map_err(|error| ClientError::failed(format!("cannot start: {error}")));
    let [mut interrupt, mut hangup, mut terminate] = match KINDS.map(listen) {
        [Ok(interrupt), Ok(hangup), Ok(terminate)] => [interrupt, hangup, terminate],
        [Err(error), ..] | [_, Err(error), _] | [.., Err(error)] => return Err(error),
    };
    let received = async |signal: &mut Signal| signal.recv().await;
    let number = tokio::select! {
        done = work => return done,
        _ = received(&mut interrupt) => KINDS[0],
        _ = received(&mut hangup) => KINDS[1],
        _ = received(&mut terminate) => KINDS[2],
    };
    tell();
    Ok(ExitCode::from(u8::try_from(128 + number.as_raw_value()).unwrap_or(u8::MAX)))
}
