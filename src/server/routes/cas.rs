//! The hierarchy.

use super::super::{
    app::App,
    asker::Asker,
    convert,
    extract::{Body, OptionalBody, Segment},
    problem::Problem,
};
use crate::{
    api,
    authority::{AuthorityError, InitRequest, IntermediateRequest, KeyAddress, Status},
    identity::{CaRole, Fingerprint, KeyId},
    store::CaRow,
};
use axum::{Extension, Json, extract::State};

/// Makes the hierarchy; without a body all three CAs, idempotently.
#[utoipa::path(post, path = "/pki/initialize", tag = "CAs", request_body = api::InitializeRequest, security(("bearer" = [])),
    responses((status = 200, body = api::Initialized), (status = 401, body = api::ErrorBody), (status = 409, body = api::ErrorBody),
        (status = 422, body = api::ErrorBody), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn initialize(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    OptionalBody(request): OptionalBody<api::InitializeRequest>,
) -> Result<Json<api::Initialized>, Problem> {
    asker.may_all()?;
    let asked = request.common_name.is_some() || request.algorithm.is_some() || request.ttl_days.is_some();
    let init = InitRequest {
        algorithm: convert::algorithm(request.algorithm.as_deref())?,
        common_name: request.common_name,
        ttl_days: request.ttl_days,
        root_only: !request.with_intermediates.unwrap_or(!asked),
    };
    app.authority().initialize(init, asker.actor()).await?;
    let status = app.authority().status().await?;
    let fingerprint = |role| fingerprint(&status, role);
    Ok(Json(api::Initialized {
        success: true,
        root_fingerprint: fingerprint(CaRole::Root).ok_or(AuthorityError::NotInitialized)?,
        services_ca_fingerprint: fingerprint(CaRole::Services),
        transport_ca_fingerprint: fingerprint(CaRole::Transport),
    }))
}

fn fingerprint(status: &Status, role: CaRole) -> Option<String> {
    status.active(role).map(|row| Fingerprint::of_certificate(&row.certificate.der).to_string())
}

/// Makes a further intermediate CA.
#[utoipa::path(post, path = "/pki/intermediary", tag = "CAs", request_body = api::IntermediaryRequest, security(("bearer" = [])),
    responses((status = 200, body = api::CaCertificate), (status = 401, body = api::ErrorBody), (status = 409, body = api::ErrorBody),
        (status = 422, body = api::ErrorBody), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn intermediary(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::IntermediaryRequest>,
) -> Result<Json<api::CaCertificate>, Problem> {
    asker.may_all()?;
    let role = request.role.as_deref().map(str::parse).transpose();
    let request = IntermediateRequest {
        role: role
            .map_err(|error: crate::identity::UnknownCaRole| AuthorityError::Invalid(error.to_string()))?,
        algorithm: convert::algorithm(request.algorithm.as_deref())?,
        common_name: request.common_name,
        ttl_days: request.ttl_days,
        backend: request.backend,
        key_reference: request.key_uri,
    };
    let row = app.authority().create_intermediate(request, asker.actor()).await?;
    described(&app, &row)
}

/// How the CA is.
#[utoipa::path(get, path = "/pki/status", tag = "CAs", security(("bearer" = [])),
    responses((status = 200, body = api::Status), (status = 401, body = api::ErrorBody)))]
pub(crate) async fn status(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<api::Status>, Problem> {
    asker.may_all()?;
    let mut status = convert::status(&app.authority().status().await?);
    let policies = app.access().policies().trouble().map(|trouble| format!("policies: {trouble}"));
    let own = [
        policies,
        app.access().system_token_warning(),
        app.audit_warning(),
        app.journal_warning(),
        own_denial(&app, status.denied_identity_count).await?,
    ];
    let own: Vec<_> = own.into_iter().flatten().chain(app.backups().warnings()).collect();
    if !own.is_empty() && status.status == "healthy" {
        status.status = "degraded".to_owned();
    }
    status.warnings.extend(own);
    status.backup = app.backups().status();
    Ok(Json(status))
}

/// Without an SVID the service shows a self-signed certificate, which clients that trust the root refuse. `denied`: how
/// many identities are; a status is asked for often, and mostly there are none.
async fn own_denial(app: &App, denied: u64) -> Result<Option<String>, Problem> {
    if denied == 0 {
        return Ok(None);
    }
    let own = app.access().own_identity();
    let is_denied = app.authority().denied().await?.iter().any(|denial| &denial.spiffe_id == own);
    Ok(is_denied.then(|| {
        format!("{own} is this service itself, and is denied: its clients will not trust it; lift it with 'catalyst pki identity allow', on this machine or with --server-fingerprint")
    }))
}

/// All CAs that were ever made.
#[utoipa::path(get, path = "/pki/ca", tag = "CAs", security(("bearer" = [])),
    responses((status = 200, body = Vec<api::Ca>), (status = 401, body = api::ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<Vec<api::Ca>>, Problem> {
    asker.may_all()?;
    Ok(Json(app.authority().status().await?.cas.iter().map(convert::ca).collect()))
}

/// Makes a published CA the one that issues.
#[utoipa::path(post, path = "/pki/ca/{ski}/activate", tag = "CAs", params(("ski" = String, Path, description = "Key identifier, hex")),
    request_body = api::ActivateRequest, security(("bearer" = [])),
    responses((status = 200, body = api::CaCertificate), (status = 404, body = api::ErrorBody), (status = 409, body = api::ErrorBody)))]
pub(crate) async fn activate(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Segment(ski): Segment,
    OptionalBody(request): OptionalBody<api::ActivateRequest>,
) -> Result<Json<api::CaCertificate>, Problem> {
    asker.may_all()?;
    let row = app.authority().activate(key_id(&ski)?, request.now, asker.actor()).await?;
    described(&app, &row)
}

/// Takes a CA out of the bundle.
#[utoipa::path(post, path = "/pki/ca/{ski}/retire", tag = "CAs", params(("ski" = String, Path, description = "Key identifier, hex")),
    security(("bearer" = [])),
    responses((status = 200, body = api::CaCertificate), (status = 404, body = api::ErrorBody), (status = 409, body = api::ErrorBody)))]
pub(crate) async fn retire(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Segment(ski): Segment,
) -> Result<Json<api::CaCertificate>, Problem> {
    asker.may_all()?;
    let row = app.authority().retire(key_id(&ski)?, asker.actor()).await?;
    described(&app, &row)
}

/// Revokes an intermediate.
#[utoipa::path(post, path = "/pki/ca/{ski}/revoke", tag = "CAs", params(("ski" = String, Path, description = "Key identifier, hex")),
    request_body = api::RevokeRequest, security(("bearer" = [])),
    responses((status = 200, body = api::CaCertificate), (status = 404, body = api::ErrorBody), (status = 409, body = api::ErrorBody)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Segment(ski): Segment,
    OptionalBody(request): OptionalBody<api::RevokeRequest>,
) -> Result<Json<api::CaCertificate>, Problem> {
    asker.may_all()?;
    let reason = convert::revocation_reason(request.reason.as_deref())?;
    let row = app.authority().revoke_ca(key_id(&ski)?, reason, asker.actor()).await?;
    // What is still to come stands in the status.
    let _pending = app.journalled().await;
    described(&app, &row)
}

/// Moves a CA's pin to another address of the same key.
#[utoipa::path(post, path = "/pki/ca/{ski}/repin", tag = "CAs", params(("ski" = String, Path, description = "Key identifier, hex")),
    request_body = api::RepinRequest, security(("bearer" = [])),
    responses((status = 200, body = api::CaCertificate), (status = 404, body = api::ErrorBody), (status = 409, body = api::ErrorBody),
        (status = 422, body = api::ErrorBody), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn repin(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Segment(ski): Segment,
    Body(request): Body<api::RepinRequest>,
) -> Result<Json<api::CaCertificate>, Problem> {
    asker.may_all()?;
    let address = KeyAddress { reference: request.key_uri, backend: request.backend };
    let row = app.authority().repin(key_id(&ski)?, address, asker.actor()).await?;
    described(&app, &row)
}

fn key_id(ski: &str) -> Result<KeyId, Problem> {
    ski.parse().map_err(|_| Problem::not_found("a CA is named by its key identifier, 40 hex digits"))
}

fn described(app: &App, row: &CaRow) -> Result<Json<api::CaCertificate>, Problem> {
    let (certificate_pem, chain) = app.authority().certificate_of(row)?;
    Ok(Json(api::CaCertificate { ca: convert::ca(row), certificate_pem, chain }))
}
