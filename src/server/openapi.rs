//! The OpenAPI document, made from the handlers.

use super::routes::{audit, cas, certificates, identities, issue, public, tokens};
use std::sync::OnceLock;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Catalyst PKI", description = "A certificate authority for services"),
    modifiers(&Bearer),
    paths(
        public::health, public::ready, public::metrics, public::bundle, public::crls, public::crl, public::jwks,
        public::spiffe_bundle, public::openapi, issue::sign_csr, issue::keypair, cas::initialize, cas::intermediary,
        cas::status, cas::list, cas::activate, cas::retire, cas::revoke, certificates::list, certificates::show,
        certificates::revoke, certificates::purge, identities::deny, identities::allow, identities::denied,
        identities::release, audit::list, audit::verify, tokens::mint, tokens::list, tokens::revoked, tokens::revoke,
        tokens::verify, tokens::authorize, tokens::keys, tokens::rotate
    )
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The document, JSON.
pub fn document() -> &'static str {
    static JSON: OnceLock<String> = OnceLock::new();
    // Serialising a document that was built from types fails on nothing.
    JSON.get_or_init(|| Document::openapi().to_pretty_json().unwrap_or_default())
}
