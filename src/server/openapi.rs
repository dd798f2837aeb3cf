//! The OpenAPI document, made from the handlers.

use super::routes::{
    audit, backends, backups, cas, certificates, identities, issue, keys, public, recovery, tokens,
};
use std::sync::OnceLock;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, ResponseBuilder,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Catalyst PKI", description = "A certificate authority for services"),
    modifiers(&Guarded),
    paths(
        public::health, public::ready, public::metrics, public::bundle, public::crls, public::crl, public::jwks,
        public::spiffe_bundle, public::openapi, issue::sign_csr, issue::keypair, cas::initialize, cas::intermediary,
        cas::status, cas::list, cas::activate, cas::retire, cas::revoke, cas::repin, recovery::confirm, keys::unclaimed, backends::retry, backups::verified, certificates::list, certificates::show,
        certificates::revoke, certificates::purge, certificates::export, identities::deny, identities::allow, identities::denied,
        identities::release, audit::list, audit::verify, tokens::mint, tokens::list, tokens::revoked, tokens::revoke,
        tokens::verify, tokens::authorize, tokens::keys, tokens::rotate
    )
)]
struct Document;

/// What every operation behind authentication has: ways to say who asks, and answers that come before its own.
struct Guarded;

/// Of every operation behind authentication.
const ANSWERS: [(&str, &str); 4] = [
    ("401", "No credential, or one that is not good"),
    ("403", "Not allowed by policy"),
    ("429", "Too many credentials of this address were not good"),
    ("503", "The store or a key store does not answer now"),
];

impl Modify for Guarded {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let proof = ApiKeyValue::with_description(
            "Authorization",
            "`Catalyst-Renew <JWT>`: for a CSR alone, signed by the certificate that is renewed",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme(
            "certificate",
            SecurityScheme::MutualTls { description: None, extensions: None, deprecated: None },
        );
        components.add_security_scheme("renewalProof", SecurityScheme::ApiKey(ApiKey::Header(proof)));
        for (path, item) in &mut document.paths.paths {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                guard(path, operation);
            }
        }
    }
}

fn guard(path: &str, operation: &mut Operation) {
    let Some(ways) = &mut operation.security else { return };
    let none: [String; 0] = [];
    ways.push(SecurityRequirement::new("certificate", none.clone()));
    if path == "/pki/csr/sign" {
        ways.push(SecurityRequirement::new("renewalProof", none));
    }
    for (status, description) in ANSWERS {
        let schema = Ref::from_schema_name("ErrorBody");
        let answer = || {
            let content = ContentBuilder::new().schema(Some(schema)).build();
            ResponseBuilder::new().description(description).content("application/json", content).build()
        };
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| answer().into());
    }
}

/// The document, JSON.
pub fn document() -> &'static str {
    static JSON: OnceLock<String> = OnceLock::new();
    // Serialising a document that was built from types fails on nothing.
    JSON.get_or_init(|| Document::openapi().to_pretty_json().unwrap_or_default())
}
