//! `catalyst backend`: whether key stores can be used, and keys that are tried again.

pub(super) mod check;
pub(super) mod retry;
