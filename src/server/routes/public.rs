//! What anybody may read.

use super::super::{
    app::App,
    convert,
    extract::{Parameters, Segment},
    observers::Figures,
    openapi,
    problem::Problem,
};
use crate::{api, authority::Observer as _, identity::CaRole};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

/// 200 while the process lives.
#[utoipa::path(get, path = "/health", tag = "public", responses((status = 200, description = "The process lives")))]
pub(crate) async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// 200 when bundle and CRLs can be served and the store is not in recovery; the body says whether certificates can be signed.
#[utoipa::path(get, path = "/ready", tag = "public",
    responses((status = 200, body = api::Readiness), (status = 503, body = api::Readiness)))]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let authority = app.authority();
    let crls =
        [CaRole::Services, CaRole::Transport].into_iter().any(|role| authority.crl_of_role(role).is_ok());
    let ready = authority.recovery().is_none()
        && authority.bundle().is_ok()
        && (crls || authority.crl_of_role(CaRole::Root).is_ok());
    let signing = authority.signing_trouble().unwrap_or_else(|| "ok".to_owned());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(api::Readiness { ready, signing })).into_response()
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "public", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    // Where the store does not answer, the figures of the last look are better than none.
    if let Ok(gauges) = app.authority().gauges().await {
        Figures(app.metrics().clone()).gauges(&gauges);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics().render())
}

/// Which part of the bundle.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleQuery {
    anchors: Option<String>,
    role: Option<String>,
}

/// The trust bundle: PEM, or JSON with `Accept: application/json`.
#[utoipa::path(get, path = "/pki/ca/bundle", tag = "public",
    params(
        ("anchors" = Option<String>, Query, description = "`issuing`: intermediates without the roots, for verifiers that take partial chains"),
        ("role" = Option<String>, Query, description = "`services` or `transport`: one network's part"),
    ),
    responses((status = 200, body = api::CaBundle), (status = 304), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn bundle(
    State(app): State<App>,
    Parameters(query): Parameters<BundleQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let issuing_only = match query.anchors.as_deref() {
        None => false,
        Some("issuing") => true,
        Some(_) => return Err(Problem::malformed("anchors is 'issuing' or left out")),
    };
    let role = match query.role.as_deref() {
        None => None,
        Some("services") => Some(CaRole::Services),
        Some("transport") => Some(CaRole::Transport),
        Some(_) => return Err(Problem::malformed("role is 'services' or 'transport'")),
    };
    let json = accepts_json(&headers);
    if issuing_only && role.is_none() && !json {
        // Intermediates of both networks in one file would let each trust the other's.
        return Err(Problem::malformed("anchors=issuing needs role=services or role=transport"));
    }
    let bundle = app.authority().bundle()?;
    let tag = format!("\"{}\"", bundle.version);
    if let Some(response) = not_modified(&headers, &tag) {
        return Ok(response);
    }
    if json {
        return Ok(cached(Json(convert::bundle(&bundle, issuing_only)).into_response(), &tag));
    }
    let pem = role.map_or_else(|| bundle.pem(), |role| bundle.network(role, issuing_only).concat());
    let pem = ([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response();
    Ok(cached(pem, &tag))
}

/// The CRLs of all CAs that are neither retired nor at their end, PEM.
#[utoipa::path(get, path = "/pki/crl", tag = "public",
    responses((status = 200, body = String, content_type = "application/x-pem-file"), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn crls(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let pem = app.authority().crls_pem()?;
    let tag = format!("\"{}\"", crate::identity::Fingerprint::of_certificate(pem.as_bytes()));
    if let Some(response) = not_modified(&headers, &tag) {
        return Ok(response);
    }
    let pem = ([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response();
    Ok(cached(pem, &tag))
}

/// One CRL, DER: of a role's active CA, or of any CA by its key identifier.
#[utoipa::path(get, path = "/pki/crl/{ca}", tag = "public",
    params(("ca" = String, Path, description = "`root`, `services`, `transport` or a key identifier in hex")),
    responses((status = 200, content_type = "application/pkix-crl"), (status = 404, body = api::ErrorBody), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn crl(
    State(app): State<App>,
    Segment(ca): Segment,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = match (ca.parse::<CaRole>(), ca.parse()) {
        (Ok(role), _) => app.authority().crl_of_role(role)?,
        (_, Ok(ski)) => app.authority().crl_of(ski)?,
        _ => {
            return Err(Problem::not_found(
                "a CRL is named by root, services, transport or a key identifier in hex",
            ));
        }
    };
    let Some(published) = &row.published else {
        return Err(Problem::not_found("this CA has no CRL yet"));
    };
    let tag = format!("\"{}\"", published.number);
    if let Some(response) = not_modified(&headers, &tag) {
        return Ok(response);
    }
    let der = ([(header::CONTENT_TYPE, "application/pkix-crl")], published.der.clone()).into_response();
    Ok(cached(der, &tag))
}

/// The public token keys (JWKS).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "public", responses((status = 200), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn jwks(State(app): State<App>) -> Result<Response, Problem> {
    let jwks = app.access().jwks()?;
    Ok(([(header::CONTENT_TYPE, "application/jwk-set+json")], jwks.to_string()).into_response())
}

/// The SPIFFE trust bundle (JWKS): the roots alone.
#[utoipa::path(get, path = "/.well-known/spiffe-bundle", tag = "public", responses((status = 200), (status = 304), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn spiffe_bundle(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let bundle = app.authority().bundle()?;
    let tag = format!("\"{}\"", bundle.version);
    if let Some(response) = not_modified(&headers, &tag) {
        return Ok(response);
    }
    let json = ([(header::CONTENT_TYPE, "application/json")], bundle.spiffe_json.clone()).into_response();
    Ok(cached(json, &tag))
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "public", responses((status = 200)))]
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::document()).into_response()
}

/// The answer to a client that holds this version already (RFC 9110, 13.1.2).
fn not_modified(headers: &HeaderMap, tag: &str) -> Option<Response> {
    let held = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let matches = held.flat_map(|list| list.split(',')).any(|held| {
        let held = held.trim();
        held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag
    });
    matches.then(|| cached(StatusCode::NOT_MODIFIED.into_response(), tag))
}

fn cached(mut response: Response, tag: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(tag) = tag.parse() {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::VARY, header::HeaderValue::from_static("accept"));
    response
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|item| {
        item.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    })
}
