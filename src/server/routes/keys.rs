//! Keys in the key stores.

use super::super::{app::App, asker::Asker, problem::Problem};
use crate::{
    api,
    authority::{Unclaimed, UnclaimedKey},
    identity::Timestamp,
};
use axum::{Extension, Json, extract::State};
use std::time::{SystemTime, UNIX_EPOCH};

/// Keys that carry this deployment's tags and belong to no CA.
#[utoipa::path(get, path = "/pki/keys/unclaimed", tag = "CAs", security(("bearer" = [])),
    responses((status = 200, body = api::UnclaimedKeys), (status = 401, body = api::ErrorBody)))]
pub(crate) async fn unclaimed(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<api::UnclaimedKeys>, Problem> {
    asker.may_all()?;
    let found = app.authority().reconcile_keys().await?;
    let unread = |(backend, error)| api::UnreadKeyStore { backend, error };
    Ok(Json(api::UnclaimedKeys {
        keys: found.unclaimed.into_iter().map(described).collect(),
        unread: found.unread.into_iter().map(unread).collect(),
    }))
}

fn described(UnclaimedKey { backend, key, reason }: UnclaimedKey) -> api::UnclaimedKey {
    let (reason, copy_of) = match reason {
        Unclaimed::Unknown => ("unknown", None),
        Unclaimed::Unfinished => ("unfinished", None),
        Unclaimed::Copy { of } => ("copy", Some(of)),
    };
    api::UnclaimedKey {
        uri: key.uri.to_string(),
        backend,
        role: key.role.to_string(),
        generation: key.generation,
        made_at: key.made_at.and_then(shown),
        reason: reason.to_owned(),
        copy_of,
    }
}

fn shown(at: SystemTime) -> Option<String> {
    let millis = at.duration_since(UNIX_EPOCH).ok()?.as_millis();
    Some(Timestamp::from_millis(i64::try_from(millis).ok()?).to_string())
}
