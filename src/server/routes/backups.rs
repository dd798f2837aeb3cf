//! Backups.

use super::super::{app::App, asker::Asker, backups, extract::Body, problem::Problem};
use crate::{
    api,
    authority::AuthorityError,
    identity::{Timestamp, unhex},
    store::Stamp,
};
use axum::{Extension, Json, extract::State, http::StatusCode};

/// How far in the future a backup may lie for another clock's sake.
const CLOCK_TOLERANCE_SECONDS: i64 = 300;

/// Takes note that a backup was wholly verified.
#[utoipa::path(post, path = "/pki/backups/verified", tag = "backups", request_body = api::VerifiedBackupReport, security(("bearer" = [])),
    responses((status = 200, body = api::VerifiedBackupNoted), (status = 409, body = api::ErrorBody), (status = 422, body = api::ErrorBody)))]
pub(crate) async fn verified(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(report): Body<api::VerifiedBackupReport>,
) -> Result<Json<api::VerifiedBackupNoted>, Problem> {
    asker.may_all()?;
    let (authority, now) = (app.authority(), app.authority().clock().now());
    let sha256 = unhex(&report.manifest_sha256).and_then(|octets| <[u8; 32]>::try_from(octets).ok());
    let sha256 = sha256.ok_or_else(|| Problem::malformed("manifestSha256 is a SHA-256 in 64 hex digits"))?;
    let created_at: Timestamp = report
        .created_at
        .parse()
        .map_err(|_| Problem::malformed("createdAt is a time in ISO 8601, as 2026-02-13T16:00:00.000Z"))?;
    let own = authority.store().deployment().await.map_err(AuthorityError::from)?.id;
    if report.deployment != own {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "other_deployment",
            format!(
                "the backup is of the deployment '{}', and this service is of {own}: report it to its own",
                report.deployment
            ),
        ));
    }
    if created_at > now.plus_seconds(CLOCK_TOLERANCE_SECONDS) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "backup_of_the_future",
            format!(
                "the backup was made at {created_at}, and it is {now}: look at the clocks of both machines"
            ),
        ));
    }
    let stamp = Stamp { at: now, by: asker.actor() };
    authority
        .store()
        .record_verified_backup(created_at, sha256, &stamp)
        .await
        .map_err(AuthorityError::from)?;
    backups::read_verified(&app).await?;
    Ok(Json(api::VerifiedBackupNoted { success: true }))
}
