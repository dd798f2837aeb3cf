//! What the store remembers of backups: that it was put back from one, that the instance of before is gone, and which
//! one was verified last.

use super::{
    fault::Outcome,
    step::{Step, one, time, time_if_any},
};
use crate::{
    identity::{Timestamp, hex},
    store::{Restoration, Stamp, VerifiedBackup},
};
use rusqlite::Connection;
use serde_json::json;

pub(super) fn last(connection: &Connection) -> Outcome<Option<Restoration>> {
    let sql = "SELECT snapshot_at, restored_at, confirmed_at FROM restoration ORDER BY id DESC LIMIT 1";
    one(connection, sql, (), |row| {
        Ok(Restoration {
            snapshot_at: time(row, 0)?,
            restored_at: time(row, 1)?,
            confirmed_at: time_if_any(row, 2)?,
        })
    })
}

pub(super) fn confirm(step: &mut Step<'_>, stamp: &Stamp) -> Outcome<bool> {
    let Some(Restoration { snapshot_at, restored_at, confirmed_at: None }) = last(step.connection())? else {
        return Ok(false);
    };
    step.execute("UPDATE restoration SET confirmed_at = ?1 WHERE confirmed_at IS NULL", [stamp.at.millis()])?;
    let detail = json!({"snapshotAt": snapshot_at.millis(), "restoredAt": restored_at.millis()});
    step.audit(stamp, "recovery.confirmed", "deployment", detail.to_string())?;
    Ok(true)
}

pub(super) fn verified_backup(connection: &Connection) -> Outcome<Option<VerifiedBackup>> {
    let sql = "SELECT created_at, manifest_sha256, verified_at FROM backup_verified";
    one(connection, sql, (), |row| {
        Ok(VerifiedBackup {
            created_at: time(row, 0)?,
            manifest_sha256: row.get(1)?,
            verified_at: time(row, 2)?,
        })
    })
}

pub(super) fn record_verified_backup(
    step: &mut Step<'_>,
    created_at: Timestamp,
    manifest_sha256: [u8; 32],
    stamp: &Stamp,
) -> Outcome<()> {
    let sql = "INSERT INTO backup_verified (one, created_at, manifest_sha256, verified_at) VALUES (1, ?1, ?2, ?3) \
        ON CONFLICT (one) DO UPDATE SET created_at = excluded.created_at, manifest_sha256 = excluded.manifest_sha256, \
        verified_at = excluded.verified_at WHERE excluded.created_at >= backup_verified.created_at";
    step.execute(sql, (created_at.millis(), manifest_sha256, stamp.at.millis()))?;
    let detail = json!({"createdAt": created_at.millis()});
    step.audit(stamp, "backup.verified", hex(&manifest_sha256), detail.to_string())
}
