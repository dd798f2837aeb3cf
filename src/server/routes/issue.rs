//! Certificates for services.

use super::super::{app::App, asker::Asker, convert, extract::Body, problem::Problem};
use crate::{
    access::{AccessError, Action, Credential, PrincipalKind},
    api,
    authority::IssueRequest,
    identity::Workload,
    store::Ticket,
};
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
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::SignCsrRequest>,
) -> Result<Json<api::SignedCertificate>, Problem> {
    let authority = app.authority();
    let workload = convert::workload(authority.trust_domain(), &request.service_type, &request.instance_id)?;
    asker.may(&app.access().certificates_of(&workload))?;
    let csr = authority.verify_csr(&request.csr_pem)?;
    let issue = IssueRequest {
        ttl: convert::ttl(request.ttl_seconds)?,
        ticket: ticket(&asker, Action::CertSign, Some(csr.sha256()), &workload)?,
        csr,
        workload,
        uri_may_be_missing: asker.caller().facts.kind == PrincipalKind::Admin,
    };
    Ok(Json(convert::signed(authority.issue(issue, asker.actor()).await?)))
}

/// What the issuance uses up. Whatever policy allows, a bootstrap credential for one identity serves no other, a
/// certificate renews itself alone, and a renewal proof is for the one CSR that it names.
fn ticket(
    asker: &Asker,
    action: Action,
    csr: Option<[u8; 32]>,
    workload: &Workload,
) -> Result<Option<Ticket>, Problem> {
    let caller = asker.caller();
    let named = caller.facts.spiffe_id.as_ref();
    let other = || AccessError::Denied {
        action,
        kind: caller.facts.kind,
        reasons: vec!["the credential is for another identity".to_owned()],
    };
    match &caller.credential {
        Credential::Token { .. } => Ok(None),
        Credential::Bootstrap(bootstrap) if named.is_none_or(|named| named == workload.spiffe_id()) => {
            Ok(Some(Ticket::Bootstrap(bootstrap.clone())))
        }
        Credential::Svid { renewal, csr: proven } if named == Some(workload.spiffe_id()) => {
            if proven.is_some() && *proven != csr {
                return Err(AccessError::Invalid("the renewal proof is for another CSR").into());
            }
            Ok(Some(Ticket::Renewal(renewal.clone())))
        }
        _ => Err(other().into()),
    }
}

/// Makes a key and a certificate for it; the key is answered once and kept nowhere.
#[utoipa::path(post, path = "/pki/keypair", tag = "certificates", request_body = api::KeypairRequest, security(("bearer" = [])),
    responses(
        (status = 200, body = api::Keypair), (status = 400, body = api::ErrorBody), (status = 401, body = api::ErrorBody),
        (status = 403, body = api::ErrorBody), (status = 422, body = api::ErrorBody), (status = 503, body = api::ErrorBody),
    ))]
pub(crate) async fn keypair(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::KeypairRequest>,
) -> Result<Json<api::Keypair>, Problem> {
    let authority = app.authority();
    let workload = convert::workload(authority.trust_domain(), &request.service_type, &request.instance_id)?;
    asker.may(&app.access().certificates_of(&workload))?;
    let ttl = convert::ttl(request.ttl_seconds)?;
    let ticket = ticket(&asker, Action::CertGenerate, None, &workload)?;
    let (key, svid) = authority.issue_with_new_key(workload, ttl, ticket, asker.actor()).await?;
    Ok(Json(api::Keypair { private_key_pem: key.to_string(), certificate: convert::signed(svid) }))
}
