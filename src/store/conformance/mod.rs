//! The contract of [`super::Store`], stated once for every implementation.

pub(crate) mod fixture;

mod issuance;

use super::Store;
use std::sync::Arc;

/// Runs the whole suite; `make` gives a new, empty store each time.
pub(crate) async fn run_all(make: impl AsyncFn() -> Arc<dyn Store>) {
    issuance::run(&make).await;
}
