//! A new system token whatever the file holds: for operators who have lost theirs.

use super::{Access, AccessError, SYSTEM_TOKEN_FILE};
use crate::{
    identity::Actor,
    store::{AuditEntry, TokenQuery, TokenRow},
};
use secrecy::SecretString;
use serde_json::json;
use std::path::{Path, PathBuf};

/// So many tokens are looked at together.
const PAGE: u32 = 1_000;

/// A new system token and the file that it lies in.
#[derive(Debug)]
pub struct RecoveredToken {
    /// The token.
    pub token: SecretString,
    /// The file.
    pub path: PathBuf,
    /// Whether an earlier one is still good.
    pub is_beside_earlier: bool,
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
        let is_beside_earlier = self.has_live_system_token().await?;
        let token = self.new_system_token_in(data_dir).await?;
        Ok(RecoveredToken { token, path: data_dir.join(SYSTEM_TOKEN_FILE), is_beside_earlier })
    }

    /// None is where all were revoked, as a restore does.
    async fn has_live_system_token(&self) -> Result<bool, AccessError> {
        let now = self.clock.now();
        let mut query = TokenQuery { limit: PAGE, ..TokenQuery::default() };
        loop {
            let page = self.store.tokens(&query).await?;
            let is_live = |row: &TokenRow| {
                row.record.subject == "system"
                    && row.record.revoked_at.is_none()
                    && row.record.expires_at > now
            };
            if page.iter().any(is_live) {
                return Ok(true);
            }
            match page.last() {
                Some(last) => query.before = Some(last.id),
                None => return Ok(false),
            }
        }
    }
}
