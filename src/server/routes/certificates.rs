//! Recorded certificates.

use super::super::{
    app::App,
    asker::Asker,
    convert,
    extract::{OptionalBody, Parameters, Segment},
    problem::Problem,
};
use crate::{
    access::Resource,
    api,
    identity::{SpiffeId, Workload},
    store::{CertificateQuery, CertificateRow, CertificateStatus, StoreError},
};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use tokio::task::spawn_blocking;

const MOST: u32 = 10_000;
/// Of whole certificates, which are some 2 KiB each.
const MOST_WHOLE: u32 = 1_000;

/// Which certificates.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    cursor: Option<i64>,
    status: Option<String>,
    spiffe_id: Option<String>,
}

/// Certificates, newest first.
#[utoipa::path(get, path = "/pki/certificates", tag = "certificates", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 10000, which is also the default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("status" = Option<String>, Query, description = "`active`, `held`, `revoked` or `expired`"),
        ("spiffeId" = Option<String>, Query, description = "One identity's"),
    ),
    responses((status = 200, body = api::CertificatePage), (status = 400, body = api::ErrorBody), (status = 401, body = api::ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<api::CertificatePage>, Problem> {
    let spiffe_id = identity(query.spiffe_id.as_deref())?;
    asker.may(&certificates_of(&app, spiffe_id.clone()))?;
    let status = query.status.map(|word| {
        CertificateStatus::parse(&word)
            .ok_or_else(|| Problem::malformed("status is active, held, revoked or expired"))
    });
    let wanted = CertificateQuery { limit: 0, before: query.cursor, status: status.transpose()?, spiffe_id };
    let (rows, next_cursor) = page(&app, wanted, query.limit, MOST).await?;
    let certificates = rows.into_iter().map(convert::certificate).collect();
    Ok(Json(api::CertificatePage { certificates, next_cursor }))
}

/// Which certificates are exported.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExportQuery {
    limit: Option<u32>,
    cursor: Option<i64>,
    spiffe_id: Option<String>,
}

/// Whole certificates, newest first. What is issued after the first page was read is on none of those that follow it.
#[utoipa::path(get, path = "/pki/export/certificates", tag = "certificates", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, which is also the default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("spiffeId" = Option<String>, Query, description = "One identity's"),
    ),
    responses((status = 200, body = api::ExportPage), (status = 400, body = api::ErrorBody), (status = 401, body = api::ErrorBody)))]
pub(crate) async fn export(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Parameters(query): Parameters<ExportQuery>,
) -> Result<Response, Problem> {
    let spiffe_id = identity(query.spiffe_id.as_deref())?;
    asker.may(&certificates_of(&app, spiffe_id.clone()))?;
    let wanted = CertificateQuery { limit: 0, before: query.cursor, status: None, spiffe_id };
    let (rows, next_cursor) = page(&app, wanted, query.limit, MOST_WHOLE).await?;
    // Some milliseconds' work.
    let answer = move || {
        let certificates = rows.into_iter().map(convert::certificate_detail).collect();
        Json(api::ExportPage { certificates, next_cursor }).into_response()
    };
    spawn_blocking(answer).await.map_err(|error| StoreError::Storage(error.to_string()).into())
}

fn identity(spiffe_id: Option<&str>) -> Result<Option<SpiffeId>, Problem> {
    let parsed = spiffe_id.map(str::parse).transpose();
    parsed.map_err(|error: crate::identity::SpiffeIdError| Problem::malformed(error.to_string()))
}

/// A page of at most `limit` rows, and where the next begins.
async fn page(
    app: &App,
    query: CertificateQuery,
    limit: Option<u32>,
    most: u32,
) -> Result<(Vec<CertificateRow>, Option<String>), Problem> {
    let limit = limit.unwrap_or(most);
    if !(1..=most).contains(&limit) {
        return Err(Problem::malformed(format!("limit is 1 to {most}")));
    }
    let authority = app.authority();
    // One more than asked for tells whether there is a next page.
    let query = CertificateQuery { limit: limit + 1, ..query };
    let mut rows = authority.store().certificates(&query, authority.clock().now()).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
    Ok((rows, next))
}

/// One certificate, by serial number or fingerprint.
#[utoipa::path(get, path = "/pki/certificates/{id}", tag = "certificates", security(("bearer" = [])),
    params(("id" = String, Path, description = "Serial number in hex, or SHA-256 fingerprint")),
    responses((status = 200, body = api::CertificateDetail), (status = 404, body = api::ErrorBody)))]
pub(crate) async fn show(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Segment(id): Segment,
) -> Result<Json<api::CertificateDetail>, Problem> {
    let authority = app.authority();
    let at = authority.clock().now();
    let row = match (id.parse(), id.parse()) {
        (Ok(serial), _) => authority.store().certificate(serial, at).await?,
        (_, Ok(fingerprint)) => authority.store().certificate_by_fingerprint(fingerprint, at).await?,
        _ => None,
    };
    asker.may(&recorded(&app, row.as_ref()))?;
    let row =
        row.ok_or_else(|| Problem::not_found("no certificate has this serial number or fingerprint"))?;
    Ok(Json(convert::certificate_detail(row)))
}

/// What a recorded certificate is to policy. A CA's, or none at all, belongs to the whole deployment, so that nobody
/// learns more from asking for what is not there.
fn recorded(app: &App, row: Option<&CertificateRow>) -> Resource {
    certificates_of(app, row.and_then(|row| row.spiffe_id.clone()))
}

fn certificates_of(app: &App, spiffe_id: Option<SpiffeId>) -> Resource {
    let workload = spiffe_id.and_then(|id| Workload::of(app.authority().trust_domain(), id).ok());
    workload.map(|workload| app.access().certificates_of(&workload)).unwrap_or_default()
}

/// Revokes a certificate for good.
#[utoipa::path(post, path = "/pki/certificates/{id}/revoke", tag = "certificates", security(("bearer" = [])),
    params(("id" = String, Path, description = "Serial number in hex")), request_body = api::RevokeRequest,
    responses((status = 200, body = api::Done), (status = 404, body = api::ErrorBody)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Segment(id): Segment,
    OptionalBody(request): OptionalBody<api::RevokeRequest>,
) -> Result<Json<api::Done>, Problem> {
    let missing = || Problem::not_found("no end-entity certificate has this serial number");
    let Ok(serial) = id.parse() else {
        asker.may_all()?;
        return Err(missing());
    };
    let authority = app.authority();
    let row = authority.store().certificate(serial, authority.clock().now()).await?;
    asker.may(&recorded(&app, row.as_ref()))?;
    let reason = convert::revocation_reason(request.reason.as_deref())?;
    let crl_pending = app.authority().revoke(serial, reason, asker.actor()).await?.ok_or_else(missing)?;
    let journal_pending = app.journalled().await.is_err();
    Ok(Json(api::Done { success: true, crl_pending, journal_pending }))
}

/// Deletes end-entity certificates that expired more than 7 days ago.
#[utoipa::path(post, path = "/pki/certificates/purge", tag = "certificates", security(("bearer" = [])),
    responses((status = 200, body = api::Purged)))]
pub(crate) async fn purge(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<api::Purged>, Problem> {
    asker.may_all()?;
    Ok(Json(api::Purged { purged_count: app.authority().purge_expired(asker.actor()).await? }))
}
