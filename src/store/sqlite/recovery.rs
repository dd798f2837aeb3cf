//! That the store was put back from a backup, and that the instance of before is gone.

use super::{
    fault::Outcome,
    step::{Step, one, time, time_if_any},
};
use crate::store::{Restoration, Stamp};
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
