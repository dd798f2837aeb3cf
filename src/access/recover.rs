//! A new system token whatever the file holds: for operators who have lost theirs.

use super::{Access, AccessError, SYSTEM_TOKEN_FILE, system_token};
use crate::{
    identity::Actor,
    store::{AuditEntry, Stamp},
};
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
        let now = self.clock.now();
        let (token, record) = self.key()?.new_system_token(now).await?;
        let staged = system_token::stage(data_dir, &token)?;
        let stamp = Stamp { at: now, by: Actor::Service };
        let detail = json!({"expiresAt": record.expires_at.millis()}).to_string();
        let entry = AuditEntry { action: "token.recovered".into(), subject: record.jti.clone(), detail };
        // First, so that no token is good whose recovery is not on record.
        self.store.append_audit(&[entry], &stamp).await?;
        self.store.record_token(&record, &stamp).await?;
        staged.publish()?;
        Ok(RecoveredToken { token, path: data_dir.join(SYSTEM_TOKEN_FILE) })
    }
}
