//! One process: wiring, listeners, routes.

mod app;
mod asker;
mod connections;
mod convert;
mod endpoints;
mod extract;
mod failures;
mod keeping;
mod observers;
mod openapi;
mod opening;
mod patience;
mod peer;
mod places;
mod problem;
mod recover;
mod routes;
mod start;
mod tls;

pub use endpoints::{ENDPOINTS, Endpoint, Target, endpoints_markdown};
pub use openapi::document as openapi_document;
pub use recover::recover_token;
pub use start::serve;
