//! The audit log.

use super::super::{app::App, asker::Asker, convert, extract::Parameters, problem::Problem};
use crate::{
    api,
    identity::Timestamp,
    store::{AuditHead, AuditQuery, AuditVerdict},
};
use axum::{Extension, Json, extract::State};
use serde::Deserialize;

const MOST: u32 = 1_000;

/// Which records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    after: Option<i64>,
    limit: Option<u32>,
    action: Option<String>,
    actor: Option<String>,
    subject: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// Audit records, oldest first.
#[utoipa::path(get, path = "/pki/audit", tag = "audit", security(("bearer" = [])),
    params(
        ("after" = Option<i64>, Query, description = "Only later ones than this number"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, which is also the default"),
        ("action" = Option<String>, Query, description = "`identity.denied`, or with a dot at the end all that begin so: `certificate.`"),
        ("actor" = Option<String>, Query, description = "`service`, `token:<sub>:<jti>`, …"),
        ("subject" = Option<String>, Query, description = "What it was done to"),
        ("since" = Option<String>, Query, description = "At or after: ISO 8601, or ms since the epoch"),
        ("until" = Option<String>, Query, description = "Before: ISO 8601, or ms since the epoch"),
    ),
    responses((status = 200, body = api::AuditPage), (status = 400, body = api::ErrorBody), (status = 401, body = api::ErrorBody),
        (status = 403, body = api::ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<api::AuditPage>, Problem> {
    asker.may_all()?;
    let limit = query.limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::malformed("limit is 1 to 1000"));
    }
    let wanted = AuditQuery {
        after: query.after.unwrap_or(0),
        // One more than asked for tells whether there is a next page.
        limit: limit + 1,
        action: query.action,
        actor: query.actor,
        subject: query.subject,
        since: moment(query.since.as_deref())?,
        until: moment(query.until.as_deref())?,
    };
    let mut records = app.authority().store().audit(&wanted).await?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    let next_after = records.last().filter(|_| more).map(|record| record.seq);
    Ok(Json(api::AuditPage { records: records.into_iter().map(convert::audit).collect(), next_after }))
}

fn moment(text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let parse = |text: &str| {
        let read = text.parse::<i64>().ok().map(Timestamp::from_millis).or_else(|| text.parse().ok());
        read.ok_or_else(|| {
            Problem::malformed("since and until are ISO 8601 in UTC, or milliseconds since the epoch")
        })
    };
    text.map(parse).transpose()
}

/// Recomputes the chain of what is in the store.
#[utoipa::path(get, path = "/pki/audit/verify", tag = "audit", security(("bearer" = [])),
    responses((status = 200, body = api::AuditVerdict), (status = 401, body = api::ErrorBody), (status = 403, body = api::ErrorBody)))]
pub(crate) async fn verify(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<api::AuditVerdict>, Problem> {
    asker.may_all()?;
    let store = app.authority().store();
    let (intact, broken_at, head) = match store.verify_audit().await? {
        AuditVerdict::Intact(head) => (true, None, head),
        AuditVerdict::Broken { seq } => (false, Some(seq), store.audit_head().await?),
    };
    let point = |head: AuditHead| api::AuditPoint { seq: head.seq, hash: crate::identity::hex(&head.hash) };
    Ok(Json(api::AuditVerdict {
        intact,
        broken_at,
        base: point(store.audit_base().await?),
        head: point(head),
    }))
}
