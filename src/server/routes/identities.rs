//! The deny list, and who owns which name.

use super::super::{app::App, asker::Asker, convert, extract::Body, problem::Problem};
use crate::{access::Resource, api, authority::AuthorityError, store::Stamp};
use axum::{Extension, Json, extract::State};

/// Denies an identity: nothing more is issued to it, and its certificates go on the CRL.
#[utoipa::path(post, path = "/pki/identities/deny", tag = "identities", request_body = api::DenyRequest, security(("bearer" = [])),
    responses((status = 200, body = api::DenyAnswer), (status = 400, body = api::ErrorBody), (status = 422, body = api::ErrorBody)))]
pub(crate) async fn deny(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::DenyRequest>,
) -> Result<Json<api::DenyAnswer>, Problem> {
    let authority = app.authority();
    let workload = convert::workload_of(authority.trust_domain(), &request.spiffe_id)?;
    asker.may(&app.access().certificates_of(&workload))?;
    let reason = request.reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 || reason.chars().any(char::is_control) {
        return Err(Problem::malformed("say why in 1 to 500 characters, none of them a control character"));
    }
    let denied = authority.deny(&workload, reason, request.compromised, asker.actor()).await?;
    let expiring_certs = denied.expiring.iter().map(|certificate| api::ExpiringCert {
        serial: certificate.serial.to_string(),
        expires_at: certificate.expires_at.to_string(),
    });
    Ok(Json(api::DenyAnswer {
        success: true,
        expiring_certs: expiring_certs.collect(),
        crl_pending: denied.crl_pending,
        journal_pending: app.journalled().await.is_err(),
    }))
}

/// Lifts a denial.
#[utoipa::path(post, path = "/pki/identities/allow", tag = "identities", request_body = api::AllowRequest, security(("bearer" = [])),
    responses((status = 200, body = api::Done), (status = 404, body = api::ErrorBody), (status = 422, body = api::ErrorBody)))]
pub(crate) async fn allow(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::AllowRequest>,
) -> Result<Json<api::Done>, Problem> {
    let authority = app.authority();
    let workload = convert::workload_of(authority.trust_domain(), &request.spiffe_id)?;
    asker.may(&app.access().certificates_of(&workload))?;
    match authority.allow(&workload, asker.actor()).await? {
        (true, crl_pending) => {
            let journal_pending = app.journalled().await.is_err();
            Ok(Json(api::Done { success: true, crl_pending, journal_pending }))
        }
        (false, _) => Err(Problem::not_found(format!("{} is not denied", workload.spiffe_id()))),
    }
}

/// The deny list, newest first.
#[utoipa::path(get, path = "/pki/identities/denied", tag = "identities", security(("bearer" = [])),
    responses((status = 200, body = Vec<api::DeniedIdentity>)))]
pub(crate) async fn denied(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<Vec<api::DeniedIdentity>>, Problem> {
    asker.may_all()?;
    let denied = app.authority().denied().await?;
    let denied = denied.into_iter().map(|denial| api::DeniedIdentity {
        spiffe_id: denial.spiffe_id.to_string(),
        reason: denial.reason,
        denied_at: denial.denied_at.millis(),
    });
    Ok(Json(denied.collect()))
}

/// Gives a DNS name free for another instance.
#[utoipa::path(post, path = "/pki/identities/release", tag = "identities", request_body = api::ReleaseRequest, security(("bearer" = [])),
    responses((status = 200, body = api::Done), (status = 404, body = api::ErrorBody)))]
pub(crate) async fn release(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::ReleaseRequest>,
) -> Result<Json<api::Done>, Problem> {
    let authority = app.authority();
    let no_owner = || AuthorityError::NotFound(format!("the DNS name '{}' has no owner", request.dns_name));
    let name = request.dns_name.parse().ok();
    let owner = match &name {
        Some(name) => authority.store().name_owner(name).await?,
        None => None,
    };
    // A name without an owner belongs to the whole deployment: nobody learns from asking whether it has one.
    let resource = owner.map_or_else(Resource::whole, |owner| app.access().node(owner.as_str()));
    asker.may(&resource)?;
    let name = name.ok_or_else(no_owner)?;
    let stamp = Stamp { at: authority.clock().now(), by: asker.actor() };
    if !authority.store().release_name(&name, &stamp).await? {
        return Err(no_owner().into());
    }
    Ok(Json(api::Done { success: true, crl_pending: false, journal_pending: false }))
}
