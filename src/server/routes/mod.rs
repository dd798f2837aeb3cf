//! Paths and what stands behind them.

pub(super) mod audit;
pub(super) mod backends;
pub(super) mod backups;
pub(super) mod cas;
pub(super) mod certificates;
pub(super) mod identities;
pub(super) mod issue;
pub(super) mod keys;
pub(super) mod public;
pub(super) mod recovery;
pub(super) mod tokens;

use super::{
    app::{App, Shown},
    asker::Asker,
    endpoints::endpoint,
    peer::Peer,
    problem::Problem,
    rpc,
};
use crate::telemetry::TraceContext;
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::time::Duration;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument as _;

/// No answer takes longer; signing and the stores have shorter limits of their own, CA ceremonies in an HSM longer.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(300);

/// Everything.
pub(super) fn all(app: App) -> Router {
    let authenticated = Router::new()
        .route("/pki/csr/sign", post(issue::sign_csr))
        .route("/pki/keypair", post(issue::keypair))
        .route("/pki/initialize", post(cas::initialize))
        .route("/pki/intermediary", post(cas::intermediary))
        .route("/pki/status", get(cas::status))
        .route("/pki/ca", get(cas::list))
        .route("/pki/ca/{ski}/activate", post(cas::activate))
        .route("/pki/ca/{ski}/retire", post(cas::retire))
        .route("/pki/ca/{ski}/revoke", post(cas::revoke))
        .route("/pki/ca/{ski}/repin", post(cas::repin))
        .route("/pki/recovery/confirm", post(recovery::confirm))
        .route("/pki/keys/unclaimed", get(keys::unclaimed))
        .route("/pki/backends/retry", post(backends::retry))
        .route("/pki/backups/verified", post(backups::verified))
        .route("/pki/certificates", get(certificates::list))
        .route("/pki/certificates/purge", post(certificates::purge))
        .route("/pki/certificates/{id}", get(certificates::show))
        .route("/pki/certificates/{id}/revoke", post(certificates::revoke))
        .route("/pki/export/certificates", get(certificates::export))
        .route("/pki/identities/denied", get(identities::denied))
        .route("/pki/identities/deny", post(identities::deny))
        .route("/pki/identities/allow", post(identities::allow))
        .route("/pki/identities/release", post(identities::release))
        .route("/pki/audit", get(audit::list))
        .route("/pki/audit/verify", get(audit::verify))
        .route("/auth/tokens", get(tokens::list).post(tokens::mint))
        .route("/auth/tokens/revoked", get(tokens::revoked))
        .route("/auth/tokens/revoke", post(tokens::revoke))
        .route("/auth/tokens/verify", post(tokens::verify))
        .route("/auth/authorize", post(tokens::authorize))
        .route("/auth/keys", get(tokens::keys))
        .route("/auth/keys/rotate", post(tokens::rotate))
        .route_layer(middleware::from_fn_with_state(app.clone(), authenticate));
    finish(read_only().merge(authenticated).merge(rpc::routes()), app)
}

/// The read-only endpoints alone, for the second listener.
pub(super) fn public_only(app: App) -> Router {
    finish(read_only(), app)
}

fn read_only() -> Router<App> {
    Router::new()
        .route("/health", get(public::health))
        .route("/ready", get(public::ready))
        .route("/metrics", get(public::metrics))
        .route("/pki/ca/bundle", get(public::bundle))
        .route("/pki/crl", get(public::crls))
        .route("/pki/crl/{ca}", get(public::crl))
        .route("/.well-known/jwks.json", get(public::jwks))
        .route("/.well-known/spiffe-bundle", get(public::spiffe_bundle))
        .route("/openapi.json", get(public::openapi))
}

fn finish(router: Router<App>, app: App) -> Router {
    router
        .fallback(|| async { Problem::not_found("there is nothing at this path: see /openapi.json") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take this method",
            )
        })
        .layer(middleware::from_fn(refuse_forwarded_certificates))
        .layer(middleware::from_fn(join_trace))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_DEADLINE))
        .with_state(app)
}

/// Checks the credential before the body is read, and afterwards that no answer left without Cedar's consent.
async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let asker = match admit(&app, &parts).await {
        Ok(asker) => asker,
        Err(problem) => return problem.into_response(),
    };
    parts.extensions.insert(asker.clone());
    consented(&asker, next.run(Request::from_parts(parts, body)).await)
}

/// The answer, if Cedar was asked before it was made. No cache keeps it.
fn consented(asker: &Asker, mut response: Response) -> Response {
    // A request that could not be read was answered before anybody could ask.
    if response.status().is_success()
        && let Err(problem) = asker.was_decided()
    {
        return problem.into_response();
    }
    let no_store = header::HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

async fn admit(app: &App, request: &Parts) -> Result<Asker, Problem> {
    refuse_foreign_page(app, &request.headers)?;
    let peer = request.extensions.get::<Peer>().ok_or_else(Problem::undecided)?;
    let path = request.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // A route for GET takes HEAD as well (RFC 9110, 9.3.2), and decides as it does.
    let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
    let endpoint = endpoint(method.as_str(), path).ok_or_else(Problem::undecided)?;
    Ok(app.admit(Shown::Headers(&request.headers), peer, endpoint).await?)
}

/// A browser names the page that calls; it might hold a certificate, and presents it for whoever asks.
pub(super) fn refuse_foreign_page(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let allowed = &app.places().allowed_origins;
    let foreign = |origin: &HeaderValue| !allowed.iter().any(|known| known.as_bytes() == origin.as_bytes());
    if headers.get_all(header::ORIGIN).iter().any(foreign) {
        return Err(Problem::foreign_origin());
    }
    Ok(())
}

/// Nobody's word is taken for a certificate that was presented elsewhere.
async fn refuse_forwarded_certificates(request: Request, next: Next) -> Response {
    if request.headers().contains_key("x-forwarded-client-cert") {
        return Problem::new(
            StatusCode::BAD_REQUEST,
            "forwarded_certificate_refused",
            "X-Forwarded-Client-Cert is not accepted on this connection",
        )
        .into_response();
    }
    next.run(request).await
}

/// Log lines of a request that belongs to a distributed trace say so (W3C Trace Context).
async fn join_trace(request: Request, next: Next) -> Response {
    let header = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    match header.and_then(TraceContext::from_traceparent) {
        Some(caller) => next.run(request).instrument(caller.child().span()).await,
        None => next.run(request).await,
    }
}

#[cfg(test)]
pub(super) mod tests;
