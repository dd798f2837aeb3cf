//! One process: wiring, listeners, routes.

mod adopter;
mod app;
mod asker;
mod backups;
mod connections;
mod convert;
mod endpoints;
mod extract;
mod failures;
mod journal;
mod keeping;
mod lists;
mod observers;
mod openapi;
mod opening;
mod patience;
mod peer;
mod places;
mod problem;
mod recover;
mod routes;
mod rpc;
mod start;
mod tls;

pub use endpoints::{ENDPOINTS, Endpoint, Target, endpoints_markdown};
pub use openapi::document as openapi_document;
pub use recover::recover_token;
pub use start::serve;

/// What the body of `POST /auth/tokens` asks for; `None` where the service would refuse its form. For fuzzing alone.
#[doc(hidden)]
pub fn mint_request(
    domain: &crate::identity::TrustDomain,
    body: crate::api::MintRequest,
) -> Option<crate::access::MintRequest> {
    convert::mint_request(domain, body).ok()
}
