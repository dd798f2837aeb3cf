//! A CA whose keys are in a key store that the product does not know: as a library, and as a program.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod authority;
mod chain;
mod program;
mod recipe;
