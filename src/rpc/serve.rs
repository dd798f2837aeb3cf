//! A session over a socket.

use super::{
    Exception, Limits, Object, Transport,
    session::{End, Session},
    wire,
};
use std::pin::pin;

/// Serves one client until it goes, breaks the protocol, or `end` comes, whose exception is the client's last message.
///
/// Calls that run when it ends are dropped. A client that does not read what it is sent holds the future up, also after
/// `end`: whoever drives it bounds the time.
pub async fn serve(
    mut transport: impl Transport,
    main: Object,
    limits: &Limits,
    end: impl Future<Output = Exception> + Send,
) {
    let mut session = Session::new(main, limits);
    let mut end = pin!(end);
    let reason = loop {
        while let Some(message) = session.answer(usize::MAX) {
            if !send(&mut transport, message, &mut session).await {
                return;
            }
        }
        tokio::select! {
            biased;
            reason = &mut end => break reason,
            () = session.run(), if session.is_busy() => {}
            message = transport.receive(), if session.has_room() => match message {
                None => return,
                Some(Err(exception)) => break exception,
                Some(Ok(message)) => match session.take(&message) {
                    Ok(()) => {}
                    Err(End::Client) => return,
                    Err(End::Broken(exception)) => break exception,
                },
            },
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
