//! What goes wrong inside a step, before it is known which file it went wrong in.

use crate::store::StoreError;
use rusqlite::ErrorCode;

/// The answer of a step's parts.
pub(super) type Outcome<T> = std::result::Result<T, Fault>;

/// SQLite's own error, or a sentence of the store.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Store(StoreError),
    /// A value in the database that no version of this program writes.
    Row(String),
}

impl Fault {
    /// What the caller of the store at `path` is told.
    pub(super) fn into_store_error(self, path: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Row(reason) => damaged(path, reason),
            Self::Sqlite(error) => from_sqlite(&error, path),
        }
    }
}

fn damaged(path: &str, reason: String) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason }
}

fn from_sqlite(error: &rusqlite::Error, path: &str) -> StoreError {
    if let rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) = error {
        return damaged(path, error.to_string());
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StoreError::ReadOnly { reason: error.to_string() }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path, error.to_string()),
        Some(ErrorCode::ConstraintViolation) => {
            StoreError::Conflict(format!("the step contradicts what is stored: {error}"))
        }
        _ => StoreError::Storage(error.to_string()),
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The step contradicts what is stored.
pub(super) fn conflict<T>(sentence: String) -> Outcome<T> {
    Err(Fault::Store(StoreError::Conflict(sentence)))
}

/// What the step speaks of is not there.
pub(super) fn not_found<T>(sentence: String) -> Outcome<T> {
    Err(Fault::Store(StoreError::NotFound(sentence)))
}
