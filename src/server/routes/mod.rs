//! Paths and what stands behind them.

pub(super) mod cas;
pub(super) mod certificates;
pub(super) mod identities;
pub(super) mod issue;
pub(super) mod public;

use super::{app::App, problem::Problem};
use crate::telemetry::TraceContext;
use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::time::Duration;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument as _;

/// No answer takes longer; signing and the stores have shorter limits of their own, CA ceremonies in an HSM longer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(300);

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
        .route("/pki/certificates", get(certificates::list))
        .route("/pki/certificates/purge", post(certificates::purge))
        .route("/pki/certificates/{id}", get(certificates::show))
        .route("/pki/certificates/{id}/revoke", post(certificates::revoke))
        .route("/pki/identities/denied", get(identities::denied))
        .route("/pki/identities/deny", post(identities::deny))
        .route("/pki/identities/allow", post(identities::allow))
        .route("/pki/identities/release", post(identities::release))
        .route_layer(middleware::from_fn_with_state(app.clone(), authenticate));
    finish(read_only().merge(authenticated), app)
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

/// Checks the credential before the body is read.
async fn authenticate(
    axum::extract::State(app): axum::extract::State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    match app.authenticate(request.headers()).await {
        Ok(caller) if caller.is_admin => {
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            response
                .headers_mut()
                .entry(header::CACHE_CONTROL)
                .or_insert(header::HeaderValue::from_static("no-store"));
            response
        }
        Ok(_) => Problem::admin_required().into_response(),
        Err(problem) => problem.into_response(),
    }
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
