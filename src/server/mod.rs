//! One process: wiring, listeners, routes.

mod app;
mod connections;
mod convert;
mod extract;
mod observers;
mod openapi;
mod patience;
mod peer;
mod problem;
mod recover;
mod routes;
mod start;

pub use openapi::document as openapi_document;
pub use recover::recover_token;
pub use start::serve;
