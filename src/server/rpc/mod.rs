//! `/rpc`: the methods that clients of Cap'n Web call, over a WebSocket or in a batch. What they do is what the handlers
//! of the HTTP interface do; here is who may call them, and for how long.

mod argument;
mod entries;
mod failure;
mod methods;
mod socket;
mod strangers;
mod visit;

use super::{
    app::App, connections::Stay, extract::read, peer::Peer, places::Places, problem::Problem,
    routes::refuse_foreign_page,
};
use crate::rpc::{self, Exception, Limits};
use axum::{
    Extension, Router,
    extract::{
        FromRequestParts as _, Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use socket::{Frames, Socket};
use std::{sync::Arc, time::Duration};
use strangers::Strangers;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use visit::Visit;

/// A message carries what a body of the HTTP interface may have (64 KiB), and what the protocol puts around it.
const MESSAGE: usize = 72 * 1024;
const BATCH: usize = 256 * 1024;
/// Octets that a socket reads at once, and gathers before it writes: most messages are smaller.
const BUFFER: usize = 4 * 1024;
/// Sockets without a good credential. Each may hold a message in pieces, the next piece, and what its session keeps:
/// some 240 KiB.
const MOST_STRANGERS: usize = 128;
/// Batches that are read and answered at once; one address has half of them.
const MOST_BATCHES: usize = 64;
/// How long a batch may wait for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How long a client may take to hear what it is still owed when its socket ends.
const LAST_MESSAGES: Duration = Duration::from_secs(5);

const LIMITS: Limits = Limits {
    message: MESSAGE,
    // The deepest argument, that of `tokens.create`, has six levels in its message.
    depth: 32,
    // Clients leave some of what they imported unreleased, and may push a thousand calls before they look at one.
    entries: 4096,
    kept: 4 * 1024 * 1024,
    // A hundred sentences that say no.
    kept_at_first: 32 * 1024,
    running: 64,
    // A thousand calls, each pushed and pulled.
    batch: 2048,
    // A list of 10,000 certificates has 4 MiB.
    answers: 8 * 1024 * 1024,
};

/// Where Cap'n Web is spoken.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/rpc", get(open).post(batch))
        .layer(Extension(Strangers::new(MOST_STRANGERS)))
        .layer(Extension(Arc::new(Places::new(MOST_BATCHES))))
}

/// A WebSocket, one message a frame.
async fn open(
    State(app): State<App>,
    Extension(strangers): Extension<Strangers>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    refuse_foreign_page(&app, &parts.headers)?;
    let peer = parts.extensions.get::<Peer>().cloned().ok_or_else(Problem::undecided)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app).await;
    let upgrade = upgrade.map_err(|why| Problem::websocket_expected(reason(&why)))?;
    let stay = parts.extensions.remove::<Stay>().ok_or_else(Problem::undecided)?;
    let upgrade = upgrade
        .max_message_size(MESSAGE)
        .max_frame_size(MESSAGE)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER);
    Ok(upgrade.on_upgrade(async move |socket| {
        converse(Socket::new(socket), Visit::new(app, peer).among(&strangers), stay.stopping()).await;
    }))
}

/// Serves a socket until it ends, one way or the other. A client that takes nothing any more holds nothing up.
async fn converse<F: Frames>(mut socket: Socket<F>, visit: Visit, stopping: &CancellationToken) {
    let visit = Arc::new(visit);
    let (tell, told) = oneshot::channel();
    let told = async { told.await.unwrap_or_else(|_| Exception::error("the session is over")) };
    let end = async {
        // Nobody listens where the session has ended by itself.
        let _ = tell.send(visit.end(stopping).await);
        sleep(LAST_MESSAGES).await;
    };
    let (main, held) = (entries::main(&visit), visit.app().lists().held());
    tokio::select! {
        () = rpc::serve(&mut socket, main, &LIMITS, held, told) => {}
        () = end => {}
        // At once, or whoever crowds others out holds their sockets too.
        () = visit.crowded_out() => return socket.dismiss().await,
    }
    socket.farewell().await;
}

fn reason(rejection: &WebSocketUpgradeRejection) -> &'static str {
    match rejection {
        WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_) => "of version 13",
        WebSocketUpgradeRejection::WebSocketKeyHeaderMissing(_) => "without a Sec-WebSocket-Key",
        WebSocketUpgradeRejection::ConnectionNotUpgradable(_) => "over HTTP/1.1",
        _ => "see docs/rpc.md",
    }
}

/// A batch: messages joined by newlines.
async fn batch(
    State(app): State<App>,
    Extension(batches): Extension<Arc<Places>>,
    request: Request,
) -> Result<Response, Problem> {
    refuse_foreign_page(&app, request.headers())?;
    let peer = request.extensions().get::<Peer>().cloned().ok_or_else(Problem::undecided)?;
    // Whoever sends it is known only when it was read.
    let turn = timeout(TURN, batches.vacancy()).await.ok().flatten();
    let turn = turn.and_then(|vacancy| batches.take(vacancy, peer.address.ip()));
    let _turn = turn.ok_or_else(Problem::too_many_batches)?;
    let body = read(request, BATCH).await?;
    let messages = str::from_utf8(&body).map_err(|_| Problem::malformed("the batch is not UTF-8"))?;
    let visit = Arc::new(Visit::new(app, peer));
    let held = visit.app().lists().held();
    let answers = rpc::batch(entries::main(&visit), messages, &LIMITS, held).await;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], answers).into_response())
}

#[cfg(test)]
mod tests;
