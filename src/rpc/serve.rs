//! A session over a socket.

use super::{
    Exception, Limits, Object, Total, Transport,
    session::{End, Session},
    wire,
};
use std::{pin::pin, time::Duration};
use tokio::time::sleep;

/// How long a client may be silent before what it has not pulled makes room for the answers of its other calls.
const PATIENCE: Duration = Duration::from_millis(100);

/// Serves one client until it goes, breaks the protocol, or `end` comes, whose exception is the client's last message.
///
/// Calls that run when it ends are dropped. A client that does not read what it is sent holds the future up, also after
/// `end`: whoever drives it bounds the time. What is held for the client counts in `total`.
pub async fn serve(
    mut transport: impl Transport,
    main: Object,
    limits: &Limits,
    total: &Total,
    end: impl Future<Output = Exception> + Send,
) {
    let mut session = Session::new(main, limits, total);
    let mut end = pin!(end);
    let reason = loop {
        while let Some(message) = session.answer(usize::MAX) {
            if !send(&mut transport, message, &mut session).await {
                return;
            }
        }
        let (is_stalled, has_room) = (session.is_stalled(), session.has_room());
        // Where no more is read there is nothing to wait for.
        let patience = if has_room { PATIENCE } else { Duration::ZERO };
        tokio::select! {
            biased;
            reason = &mut end => break reason,
            () = session.run(), if session.is_busy() => {}
            message = transport.receive(), if has_room => match message {
                None => return,
                Some(Err(exception)) => break exception,
                Some(Ok(message)) => match session.take(&message) {
                    Ok(()) => {}
                    Err(End::Client) => return,
                    Err(End::Broken(exception)) => break exception,
                },
            },
            () = sleep(patience), if is_stalled => session.unstall(),
        }
    };
    while let Some(message) = session.answer(usize::MAX) {
        if !transport.send(message).await {
            return;
        }
    }
    transport.send(wire::abort(&reason)).await;
}

/// Sends a message, while calls go on.
async fn send(transport: &mut impl Transport, message: String, session: &mut Session) -> bool {
    let mut sent = pin!(transport.send(message));
    loop {
        tokio::select! {
            biased;
            sent = &mut sent => return sent,
            () = session.run(), if session.is_busy() => {}
        }
    }
}
