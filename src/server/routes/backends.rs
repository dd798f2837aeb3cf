//! Key stores.

use super::super::{app::App, asker::Asker, extract::OptionalBody, problem::Problem, start};
use crate::{
    access::AccessError,
    api,
    authority::{AuthorityError, KeyCondition, RetriedKey},
    store::{KeyRole, KeyRow, KeyRowState},
};
use axum::{Extension, Json, extract::State};
use catalyst_signing::KeyHealth;

/// Tries keys that are down or were refused again.
#[utoipa::path(post, path = "/pki/backends/retry", tag = "CAs", request_body = api::RetryRequest, security(("bearer" = [])),
    responses((status = 200, body = api::RetriedKeys), (status = 401, body = api::ErrorBody), (status = 404, body = api::ErrorBody)))]
pub(crate) async fn retry(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    OptionalBody(request): OptionalBody<api::RetryRequest>,
) -> Result<Json<api::RetriedKeys>, Problem> {
    asker.may_all()?;
    let backend = request.backend.as_deref();
    let tried = app.authority().retry_keys(backend, asker.actor()).await?;
    let mut keys: Vec<_> = tried.into_iter().map(of_ca).collect();
    let hierarchy = app.authority().store().hierarchy().await.map_err(AuthorityError::from)?;
    let signs = |row: &&KeyRow| row.intention.role == KeyRole::Token && row.state == KeyRowState::Active;
    let meant = |row: &&KeyRow| backend.is_none_or(|wanted| wanted == row.intention.backend);
    if let Some(row) = hierarchy.keys.iter().filter(signs).find(meant) {
        keys.push(of_tokens(&app, row).await);
    }
    Ok(Json(api::RetriedKeys { keys }))
}

fn of_ca(key: RetriedKey) -> api::RetriedKey {
    let state = match key.condition {
        KeyCondition::Ready => "ready",
        KeyCondition::Closed | KeyCondition::Away => "away",
        KeyCondition::Latched => "refused",
    };
    api::RetriedKey {
        name: key.name,
        backend: key.backend,
        uri: key.uri,
        state: state.to_owned(),
        error: key.trouble,
    }
}

async fn of_tokens(app: &App, row: &KeyRow) -> api::RetriedKey {
    let (state, error) = match tried(app).await {
        Ok(KeyHealth::Ready) => ("ready", None),
        Ok(KeyHealth::Latched { error }) => ("refused", Some(error.to_string())),
        Ok(KeyHealth::Suspect { reason, .. }) => ("away", Some(reason)),
        Ok(_) => ("away", None),
        Err(error) => (if is_refusal(&error) { "refused" } else { "away" }, Some(error.to_string())),
    };
    api::RetriedKey {
        name: "token key".to_owned(),
        backend: row.intention.backend.clone(),
        uri: row.made.as_ref().map(|made| made.uri.clone()).unwrap_or_default(),
        state: state.to_owned(),
        error,
    }
}

fn is_refusal(error: &start::Failure) -> bool {
    matches!(error.downcast_ref(), Some(AuthorityError::KeyStore(error)) if error.latches())
}

/// The open key, or one that is opened now: it is not open where that failed so far.
async fn tried(app: &App) -> Result<KeyHealth, start::Failure> {
    if let Some(health) = app.access().retry_key().await {
        return Ok(health);
    }
    start::open_token_key(app).await?;
    app.access().retry_key().await.ok_or_else(|| AccessError::KeyNotOpen.into())
}
