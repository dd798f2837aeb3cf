//! The contract of [`super::Store`], stated once for every implementation.

pub(crate) mod adoption;
mod audit;
mod cas;
mod crls;
mod denial;
mod ends;
pub(crate) mod fixture;
mod initialization;
mod issuance;
mod journal;
mod keys;
mod rows;
mod sealed;
mod tickets;
pub(crate) mod together;
mod tokens;

use super::Store;
use std::sync::Arc;

/// Runs the whole suite; `make` gives a new, empty store each time. Needs a runtime with several threads.
pub(crate) async fn run_all(make: impl AsyncFn() -> Arc<dyn Store>) {
    initialization::run(&make).await;
    keys::run(&make).await;
    cas::run(&make).await;
    issuance::run(&make).await;
    rows::run(&make).await;
    denial::run(&make).await;
    crls::run(&make).await;
    tokens::run(&make).await;
    tickets::run(&make).await;
    ends::run(&make).await;
    audit::run(&make).await;
    journal::run(&make).await;
    sealed::run(&make).await;
    together::run(&make).await;
}
