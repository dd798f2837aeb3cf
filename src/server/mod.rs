//! One process: wiring, listeners, routes.

mod app;
mod connections;
mod convert;
mod extract;
mod observers;
mod openapi;
mod opening;
mod patience;
mod peer;
mod places;
mod problem;
mod routes;
mod start;
mod tls;

pub use openapi::document as openapi_document;
pub use start::serve;
