//! How long what opens a key store is kept.

/// How long credentials, or a login, are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// As long as they live, or the process: what signs all day.
    Kept,
    /// As long as one key is open, or for one question: the root's, which is opened for one operation.
    WhileInUse,
}
