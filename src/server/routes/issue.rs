//! Certificates for services.

use super::super::{app::App, convert, extract::Body, problem::Problem};
use crate::{access::Caller, api, authority::IssueRequest};
use axum::{Extension, Json, extract::State};

/// Signs a certification request.
#[utoipa::path(post, path = "/pki/csr/sign", tag = "certificates", request_body = api::SignCsrRequest, security(("bearer" = [])),
    responses(
        (status = 200, body = api::SignedCertificate),
        (status = 400, body = api::ErrorBody, description = "Not a CSR, bad proof of possession, unknown field"),
        (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody, description = "Identity denied"),
        (status = 413, body = api::ErrorBody), (status = 422, body = api::ErrorBody, description = "Key type, name or TTL not allowed"),
        (status = 429, body = api::ErrorBody), (status = 503, body = api::ErrorBody, description = "CA not initialized, key store away"),
    ))]
pub(crate) async fn sign_csr(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<api::SignCsrRequest>,
) -> Result<Json<api::SignedCertificate>, Problem> {
    let authority = app.authority();
    let workload = convert::workload(authority.trust_domain(), &request.service_type, &request.instance_id)?;
    let issue = IssueRequest {
        ttl: convert::ttl(request.ttl_seconds)?,
        csr: authority.verify_csr(&request.csr_pem)?,
        workload,
        uri_may_be_missing: caller.is_admin,
        ticket: None,
    };
    Ok(Json(convert::signed(authority.issue(issue, caller.actor).await?)))
}

/// Makes a key and a certificate for it; the key is answered once and kept nowhere.
#[utoipa::path(post, path = "/pki/keypair", tag = "certificates", request_body = api::KeypairRequest, security(("bearer" = [])),
    responses(
        (status = 200, body = api::Keypair), (status = 400, body = api::ErrorBody), (status = 401, body = api::ErrorBody),
        (status = 403, body = api::ErrorBody), (status = 422, body = api::ErrorBody), (status = 503, body = api::ErrorBody),
    ))]
pub(crate) async fn keypair(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<api::KeypairRequest>,
) -> Result<Json<api::Keypair>, Problem> {
    let authority = app.authority();
    let workload = convert::workload(authority.trust_domain(), &request.service_type, &request.instance_id)?;
    let ttl = convert::ttl(request.ttl_seconds)?;
    let (key, svid) = authority.issue_with_new_key(workload, ttl, caller.actor).await?;
    Ok(Json(api::Keypair { private_key_pem: key.to_string(), certificate: convert::signed(svid) }))
}
