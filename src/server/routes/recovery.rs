//! The end of the recovery.

use super::super::{app::App, asker::Asker, convert, extract::Body, problem::Problem};
use crate::{api, authority::AuthorityError};
use axum::{Extension, Json, extract::State};

/// Ends the recovery after a restore: the instance of before is gone. Certificates are issued from then on.
#[utoipa::path(post, path = "/pki/recovery/confirm", tag = "CAs", request_body = api::ConfirmRecoveryRequest, security(("bearer" = [])),
    responses((status = 200, body = api::RecoveryConfirmed), (status = 401, body = api::ErrorBody), (status = 422, body = api::ErrorBody)))]
pub(crate) async fn confirm(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::ConfirmRecoveryRequest>,
) -> Result<Json<api::RecoveryConfirmed>, Problem> {
    asker.may_all()?;
    if !request.old_instance_is_gone {
        return Err(AuthorityError::Invalid(
            "say oldInstanceIsGone: true once the instance that ran before the restore is gone for good: two that issue give one name to two holders, and neither knows what the other has revoked".into(),
        )
        .into());
    }
    let confirmed = app.authority().confirm_recovery(asker.actor()).await?;
    Ok(Json(api::RecoveryConfirmed { success: true, recovery: confirmed.as_ref().map(convert::recovery) }))
}
