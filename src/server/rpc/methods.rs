//! Every method, and the handler of the HTTP interface that answers it.

use super::{
    super::{
        app::App,
        asker::Asker,
        convert,
        extract::{Body, OptionalBody, Parameters},
        problem::Problem,
        routes::{cas, certificates, identities, issue, recovery, tokens},
    },
    argument::Argument,
    failure::Failure,
};
use crate::api;
use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::pin::Pin;

/// A method of an entry point.
pub(super) struct Rpc {
    /// As in the table of endpoints: `tokens.create`.
    pub(super) name: &'static str,
    /// How it fails.
    pub(super) failure: Failure,
    /// Whether it answers a list, which may be long.
    pub(super) is_list: bool,
    /// What it does.
    pub(super) run: fn(Call) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<Value, Problem>> + Send>>;

/// A call whose credential was taken. That policy is asked is the handler's part, and is looked at afterwards.
pub(super) struct Call {
    pub(super) app: App,
    pub(super) asker: Asker,
    pub(super) argument: Argument,
}

/// The entry points and their methods.
pub(super) const ENTRIES: &[(&str, &[Rpc])] = &[
    (
        "tokens",
        &[
            rejecting("tokens.create", |call| Box::pin(create(call))),
            // Although its answer has `success`: who looks at none must not take what failed for a revocation.
            rejecting("tokens.revoke", |call| Box::pin(with_body(call, tokens::revoke))),
            listing("tokens.list", |call| Box::pin(list_tokens(call))),
        ],
    ),
    (
        "certs",
        &[
            succeeding("certs.list", |call| Box::pin(with_nothing(call, tokens::keys))),
            succeeding("certs.rotate", |call| Box::pin(rotate(call))),
            listing("certs.getTokensByCert", |call| Box::pin(tokens_by_certificate(call))),
        ],
    ),
    (
        "validation",
        &[
            rejecting("validation.validate", |call| Box::pin(with_body(call, tokens::verify))),
            listing("validation.getRevocationList", |call| Box::pin(with_nothing(call, tokens::revoked))),
            rejecting("validation.getJWKS", |call| Box::pin(jwks(call))),
        ],
    ),
    (
        "permissions",
        &[Rpc {
            name: "permissions.authorizeAction",
            failure: Failure::Unauthorized,
            is_list: false,
            run: |call| Box::pin(authorize(call)),
        }],
    ),
    (
        "pki",
        &[
            succeeding("pki.initialize", |call| Box::pin(initialize(call))),
            succeeding("pki.signCsr", |call| Box::pin(with_body(call, issue::sign_csr))),
            rejecting("pki.getCaBundle", |call| Box::pin(bundle(call))),
            rejecting("pki.getStatus", |call| Box::pin(with_nothing(call, cas::status))),
            succeeding("pki.denyIdentity", |call| Box::pin(with_body(call, identities::deny))),
            succeeding("pki.allowIdentity", |call| Box::pin(with_body(call, identities::allow))),
            succeeding("pki.confirmRecovery", |call| Box::pin(with_body(call, recovery::confirm))),
            listing("pki.listDenied", |call| Box::pin(with_nothing(call, identities::denied))),
            listing("pki.listCertificates", |call| Box::pin(list_certificates(call))),
            rejecting("pki.purgeExpired", |call| Box::pin(with_nothing(call, certificates::purge))),
        ],
    ),
];

const fn rejecting(name: &'static str, run: fn(Call) -> Running) -> Rpc {
    Rpc { name, failure: Failure::Rejects, is_list: false, run }
}

const fn listing(name: &'static str, run: fn(Call) -> Running) -> Rpc {
    Rpc { name, failure: Failure::Rejects, is_list: true, run }
}

const fn succeeding(name: &'static str, run: fn(Call) -> Running) -> Rpc {
    Rpc { name, failure: Failure::Unsuccessful, is_list: false, run }
}

impl Rpc {
    /// Its name on the object that its entry point gives.
    pub(super) fn short_name(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, name)| name)
    }
}

async fn with_body<T, R, H, F>(call: Call, handler: H) -> Result<Value, Problem>
where
    T: DeserializeOwned,
    R: Serialize,
    H: FnOnce(State<App>, Extension<Asker>, Body<T>) -> F,
    F: Future<Output = Result<Json<R>, Problem>>,
{
    let body = call.argument.body()?;
    json(handler(State(call.app), Extension(call.asker), Body(body)).await?)
}

async fn with_nothing<R, H, F>(call: Call, handler: H) -> Result<Value, Problem>
where
    R: Serialize,
    H: FnOnce(State<App>, Extension<Asker>) -> F,
    F: Future<Output = Result<Json<R>, Problem>>,
{
    call.argument.nothing()?;
    json(handler(State(call.app), Extension(call.asker)).await?)
}

fn json<R: Serialize>(Json(answer): Json<R>) -> Result<Value, Problem> {
    serde_json::to_value(answer).map_err(|_| Problem::internal())
}

/// The JWT alone.
async fn create(call: Call) -> Result<Value, Problem> {
    let body = call.argument.body()?;
    let Json(minted) = tokens::mint(State(call.app), Extension(call.asker), Body(body)).await?;
    Ok(minted.token.into())
}

async fn list_tokens(call: Call) -> Result<Value, Problem> {
    let query = call.argument.query()?;
    records(call.app, call.asker, query).await
}

/// Whose tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByCertificate {
    fingerprint: String,
}

async fn tokens_by_certificate(call: Call) -> Result<Value, Problem> {
    let ByCertificate { fingerprint } = call.argument.body()?;
    let query = tokens::ListQuery { certificate_fingerprint: Some(fingerprint), ..Default::default() };
    records(call.app, call.asker, query).await
}

async fn records(app: App, asker: Asker, query: tokens::ListQuery) -> Result<Value, Problem> {
    let Json(page) = tokens::list(State(app), Extension(asker), Parameters(query)).await?;
    json(Json(page.tokens))
}

async fn rotate(call: Call) -> Result<Value, Problem> {
    let body = call.argument.optional()?;
    json(tokens::rotate(State(call.app), Extension(call.asker), OptionalBody(body)).await?)
}

/// Public, as under `/.well-known/jwks.json`.
async fn jwks(call: Call) -> Result<Value, Problem> {
    call.argument.nothing()?;
    Ok(call.app.access().jwks()?)
}

async fn authorize(call: Call) -> Result<Value, Problem> {
    let body = call.argument.body()?;
    json(tokens::authorize(Extension(call.asker), Body(body)).await?)
}

async fn initialize(call: Call) -> Result<Value, Problem> {
    let body = call.argument.optional::<api::InitializeRequest>()?;
    json(cas::initialize(State(call.app), Extension(call.asker), OptionalBody(body)).await?)
}

/// Public, as under `/pki/ca/bundle`.
async fn bundle(call: Call) -> Result<Value, Problem> {
    call.argument.nothing()?;
    json(Json(convert::bundle(&*call.app.authority().bundle()?, false)))
}

async fn list_certificates(call: Call) -> Result<Value, Problem> {
    let query = call.argument.query()?;
    let Json(page) = certificates::list(State(call.app), Extension(call.asker), Parameters(query)).await?;
    json(Json(page.certificates))
}

#[cfg(test)]
mod tests {
    use super::{super::super::endpoints::ENDPOINTS, *};
    use std::collections::BTreeSet;

    #[test]
    fn every_method_is_that_of_one_endpoint() {
        let methods =
            ENTRIES.iter().flat_map(|(entry, methods)| methods.iter().map(move |method| (entry, method)));
        let mut names = BTreeSet::new();
        for (entry, method) in methods {
            assert_eq!(method.name, format!("{entry}.{}", method.short_name()));
            assert!(names.insert(method.name), "{} twice", method.name);
        }
        let of_endpoints: Vec<_> = ENDPOINTS.iter().flat_map(|endpoint| endpoint.rpc).copied().collect();
        assert_eq!(of_endpoints.len(), names.len());
        assert_eq!(of_endpoints.into_iter().collect::<BTreeSet<_>>(), names);
        let wanted = "certs.getTokensByCert certs.list certs.rotate permissions.authorizeAction pki.allowIdentity \
            pki.confirmRecovery pki.denyIdentity pki.getCaBundle pki.getStatus pki.initialize pki.listCertificates pki.listDenied \
            pki.purgeExpired pki.signCsr tokens.create tokens.list tokens.revoke validation.getJWKS \
            validation.getRevocationList validation.validate";
        assert_eq!(names.into_iter().collect::<Vec<_>>().join(" "), wanted);
    }
}
