//! A new system token whatever the file holds: for operators who have lost theirs.

use super::{Access, AccessError, SYSTEM_TOKEN_FILE};
use crate::{identity::Actor, store::AuditEntry};
use secrecy::SecretString;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A new system token and the file that it lies in.
#[derive(Debug)]
pub struct RecoveredToken {
    /// The token.
    pub token: SecretString,
    /// The file.
    pub path: PathBuf,
}

impl Access {
    /// Makes a system token and puts it in the place of the one in `data_dir`. That it was made this way stands in the
    /// audit log; earlier ones stay good until they end or are revoked.
    ///
    /// # Errors
    /// The key store's, the store's or the file's.
    pub async fn recover_system_token(&self, data_dir: &Path) -> Result<RecoveredToken, AccessError> {
        let entry = AuditEntry {
            action: "token.recovered".to_owned(),
            subject: "system".to_owned(),
            detail: json!({"file": SYSTEM_TOKEN_FILE}).to_string(),
        };
        // First, so that no token is good whose recovery is not on record.
        self.store.append_audit(&[entry], &self.stamp(Actor::Service)).await?;
        let token = self.new_system_token_in(data_dir).await?;
        Ok(RecoveredToken { token, path: data_dir.join(SYSTEM_TOKEN_FILE) })
    }
}
