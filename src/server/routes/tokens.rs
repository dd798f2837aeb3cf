//! Tokens and the keys that sign them.

use super::super::{
    app::App,
    asker::Asker,
    convert,
    extract::{Body, OptionalBody, Parameters},
    problem::Problem,
};
use crate::{
    access::{AccessError, Action, Resource, Rotated},
    api,
    authority::AuthorityError,
    store::TokenQuery,
};
use axum::{Extension, Json, extract::State};
use secrecy::ExposeSecret;
use serde::Deserialize;

const MOST: u32 = 10_000;
/// How long tokens of earlier keys are taken when nothing is said.
const GRACE_MS: i64 = 24 * 3_600_000;
const LONGEST_GRACE_MS: i64 = 30 * 24 * 3_600_000;

/// Makes a token, or a bootstrap credential for the subject `bootstrap`.
#[utoipa::path(post, path = "/auth/tokens", tag = "tokens", request_body = api::MintRequest, security(("bearer" = [])),
    responses((status = 200, body = api::MintedToken), (status = 401, body = api::ErrorBody),
        (status = 403, body = api::ErrorBody, description = "Policy, or more than the minter holds"),
        (status = 422, body = api::ErrorBody), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn mint(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::MintRequest>,
) -> Result<Json<api::MintedToken>, Problem> {
    asker.may_own()?;
    let request = convert::mint_request(app.authority().trust_domain(), request)?;
    let minted = app.access().mint(asker.caller(), request).await?;
    Ok(Json(api::MintedToken {
        token: minted.token.expose_secret().to_owned(),
        jti: minted.jti,
        expires_at: minted.expires_at.to_string(),
        warnings: minted.warnings,
    }))
}

/// Which tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListQuery {
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<i64>,
    pub(crate) san: Option<String>,
    pub(crate) certificate_fingerprint: Option<String>,
}

/// Tokens that were made, newest first.
#[utoipa::path(get, path = "/auth/tokens", tag = "tokens", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 10000, which is also the default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("san" = Option<String>, Query, description = "Those with this SAN"),
        ("certificateFingerprint" = Option<String>, Query, description = "Those bound to this certificate"),
    ),
    responses((status = 200, body = api::TokenPage), (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<api::TokenPage>, Problem> {
    asker.may_own()?;
    let limit = query.limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::malformed("limit is 1 to 10000"));
    }
    let query = TokenQuery {
        certificate_fingerprint: convert::fingerprint(query.certificate_fingerprint.as_deref())?,
        san: query.san,
        before: query.cursor,
        // One more than asked for tells whether there is a next page.
        limit: limit + 1,
    };
    let mut rows = app.access().tokens(&query).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| row.id.to_string());
    let tokens = rows.into_iter().map(|row| convert::token(row.record)).collect();
    Ok(Json(api::TokenPage { tokens, next_cursor }))
}

/// The names of tokens that were revoked before their end.
#[utoipa::path(get, path = "/auth/tokens/revoked", tag = "tokens", security(("bearer" = [])),
    responses((status = 200, body = Vec<String>), (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody)))]
pub(crate) async fn revoked(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<Vec<String>>, Problem> {
    asker.may_own()?;
    Ok(Json(app.access().revoked().await?))
}

/// Revokes tokens by name, SAN or certificate; it holds from the next call on.
#[utoipa::path(post, path = "/auth/tokens/revoke", tag = "tokens", request_body = api::RevokeTokensRequest, security(("bearer" = [])),
    responses((status = 200, body = api::RevokedTokens), (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody),
        (status = 422, body = api::ErrorBody)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::RevokeTokensRequest>,
) -> Result<Json<api::RevokedTokens>, Problem> {
    asker.may_own()?;
    let which = convert::selector(request)?;
    let revoked = app.access().revoke(asker.caller(), which).await?;
    // What is still to come stands in the status.
    let _pending = app.journalled().await;
    Ok(Json(api::RevokedTokens { success: true, revoked }))
}

/// Whether a token is good.
#[utoipa::path(post, path = "/auth/tokens/verify", tag = "tokens", request_body = api::VerifyTokenRequest, security(("bearer" = [])),
    responses((status = 200, body = api::TokenVerdict), (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody)))]
pub(crate) async fn verify(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::VerifyTokenRequest>,
) -> Result<Json<api::TokenVerdict>, Problem> {
    asker.may_own()?;
    let verdict = match app.access().verify(&request.token, request.audience.as_deref()).await {
        Ok(claims) => {
            api::TokenVerdict { valid: true, payload: Some(convert::payload(&claims)?), error: None }
        }
        Err(
            error @ (AccessError::Malformed(_)
            | AccessError::Invalid(_)
            | AccessError::Expired
            | AccessError::Revoked),
        ) => api::TokenVerdict { valid: false, payload: None, error: Some(error.to_string()) },
        Err(error) => return Err(error.into()),
    };
    Ok(Json(verdict))
}

/// What policy says to an action of the caller's.
#[utoipa::path(post, path = "/auth/authorize", tag = "tokens", request_body = api::AuthorizeRequest, security(("bearer" = [])),
    responses((status = 200, body = api::Authorization), (status = 401, body = api::ErrorBody), (status = 422, body = api::ErrorBody)))]
pub(crate) async fn authorize(
    Extension(asker): Extension<Asker>,
    Body(request): Body<api::AuthorizeRequest>,
) -> Result<Json<api::Authorization>, Problem> {
    let action = request.action.parse::<Action>();
    let action = action.map_err(|_| convert::unknown_action(&request.action))?;
    let context = request.node_context;
    let mut resource = Resource::of_node(&context.node_id, &context.domains);
    if resource.domain_id.is_empty() {
        // A node's id need not lie in its domain; the first one named is then the one it belongs to.
        resource.domain_id = context.domains.into_iter().next().unwrap_or_default();
    }
    let allowed = asker.may_do(action, &resource);
    let denied = allowed.err().map(|problem| problem.sentence().to_owned());
    Ok(Json(api::Authorization {
        success: denied.is_none(),
        allowed: denied.is_none().then_some(true),
        error_type: denied.is_some().then(|| "permission_denied".to_owned()),
        reason: None,
        reasons: denied.map(|sentence| vec![sentence]),
    }))
}

/// The keys that tokens verify under.
#[utoipa::path(get, path = "/auth/keys", tag = "tokens", security(("bearer" = [])),
    responses((status = 200, body = api::TokenKeys), (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody)))]
pub(crate) async fn keys(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<api::TokenKeys>, Problem> {
    asker.may_own()?;
    Ok(Json(api::TokenKeys { success: true, jwks: app.access().jwks()? }))
}

/// Lets a new key sign tokens.
#[utoipa::path(post, path = "/auth/keys/rotate", tag = "tokens", request_body = api::RotateKeyRequest, security(("bearer" = [])),
    responses((status = 200, body = api::RotatedKey), (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody),
        (status = 422, body = api::ErrorBody), (status = 503, body = api::ErrorBody)))]
pub(crate) async fn rotate(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    OptionalBody(request): OptionalBody<api::RotateKeyRequest>,
) -> Result<Json<api::RotatedKey>, Problem> {
    asker.may_all()?;
    let grace_ms = match (request.immediate.unwrap_or(false), request.grace_period_ms) {
        (true, Some(grace)) if grace != 0 => {
            return Err(
                AuthorityError::Invalid("immediate and gracePeriodMs exclude each other".to_owned()).into()
            );
        }
        (true, _) => 0,
        (false, grace) => grace.unwrap_or(GRACE_MS),
    };
    if !(0..=LONGEST_GRACE_MS).contains(&grace_ms) {
        return Err(AuthorityError::Invalid("gracePeriodMs is 0 to 30 days".to_owned()).into());
    }
    // A rotation that has begun comes to its end whether its caller waits or not.
    let rotation = tokio::spawn(async move { rotate_now(&app, &asker, grace_ms).await });
    let rotated = rotation.await.map_err(|error| AuthorityError::Internal(error.to_string()))??;
    Ok(Json(api::RotatedKey {
        success: true,
        previous_key_id: rotated.previous,
        new_key_id: rotated.new,
        grace_period_ends_at: rotated.grace_until.map(|until| until.to_string()),
        tokens_cut_short: rotated.cut_short,
    }))
}

async fn rotate_now(app: &App, asker: &Asker, grace_ms: i64) -> Result<Rotated, Problem> {
    let next = async { Ok(app.authority().next_token_key(asker.actor()).await?) };
    let places = app.places();
    let data_dir = places.makes_system_token.then_some(places.data_dir.as_path());
    app.access().rotate::<Problem>(next, grace_ms / 1_000, data_dir, asker.actor()).await
}
