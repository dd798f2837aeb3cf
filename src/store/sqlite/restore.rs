//! Brings a store that came out of a backup up to date with what is known besides, in one transaction.

use super::{
    ca::key_id,
    deployment::raise_bundle,
    fault::{Outcome, conflict},
    file::{self, connect, told},
    journal, merge, replay, secret,
    step::{Ledger, Step, all, one},
    token,
};
use crate::{
    identity::{Actor, Timestamp, hex},
    store::{RestorePlan, Restored, Result, Stamp, Standing},
};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use serde_json::json;
use std::path::Path;

/// Brings the store at `path`, which came out of a backup and which nobody else works on, to this program's schema and
/// up to date: what stands in the store of before and the journal, then newer CRLs, then tokens. All in one transaction, and in the file when this returns.
///
/// # Errors
/// [`crate::store::StoreError::Conflict`] where the clock stands before what the store has recorded; the file's.
pub fn restore_store(path: &Path, plan: &RestorePlan, at: Timestamp) -> Result<Restored> {
    let mut connection = file::open_writer(path)?;
    told(path, || {
        let before = Ledger::load(&connection)?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut step = Step::new(&transaction, before.clone());
        let restored = bring_up_to_date(&mut step, plan, at)?;
        step.finish(&before)?;
        transaction.commit()?;
        // Into the file itself: it goes to its place without its log.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(restored)
    })
}

fn bring_up_to_date(step: &mut Step<'_>, plan: &RestorePlan, at: Timestamp) -> Outcome<Restored> {
    let newest = Timestamp::from_millis(step.newest());
    if at < newest || at < plan.snapshot_at {
        return conflict(format!(
            "the clock of this machine stands at {at}, and the backup is of {}: set the clock, for numbers that come from it have to rise",
            newest.max(plan.snapshot_at)
        ));
    }
    let stamp = Stamp { at, by: Actor::Service };
    let mut restored = Restored::default();
    // What the store of before denies no journal lifts: anybody may have written one.
    if let Some(standing) = &plan.standing {
        replay::standing(step, &standing.lines, &stamp, &mut restored)?;
        raise_numbers(step, standing)?;
    }
    // The journal before the CRLs: a denial that it ends, and that a CRL still shows, is one that the operator has to end.
    replay::journal(step, &plan.journal, &stamp, &mut restored)?;
    for crl in &plan.crls {
        merge::newer_crl(step, crl, &stamp, &mut restored)?;
    }
    let mut live = token::live_at(step.connection(), at)?;
    if plan.keep_tokens {
        // Nobody knows how often one that is good for so many times was used after the backup.
        live.retain(|token| token.record.bootstrap.is_some());
    }
    restored.tokens += token::end(step, live, &stamp)?.len() as u64;
    if !plan.keep_tokens {
        restored.secrets += secret::revoke_all(step, &stamp)?;
    }
    raise_bundle(step, at, true)?;
    step.execute(
        "INSERT INTO restoration (snapshot_at, restored_at) VALUES (?1, ?2)",
        (plan.snapshot_at.millis(), at.millis()),
    )?;
    let detail = json!({
        "snapshotAt": plan.snapshot_at.millis(), "manifestSha256": hex(&plan.manifest_sha256),
        "denied": restored.denied, "revoked": restored.revoked, "tokens": restored.tokens,
        "secrets": restored.secrets, "crls": restored.crls, "keepTokens": plan.keep_tokens,
    });
    step.audit(&stamp, "deployment.restored", "deployment", detail.to_string())?;
    Ok(restored)
}

/// What comes next is above what verifiers have seen.
fn raise_numbers(step: &Step<'_>, standing: &Standing) -> Outcome<()> {
    let sql = "UPDATE deployment SET bundle_version = max(bundle_version, ?1), spiffe_sequence = max(spiffe_sequence, ?2)";
    step.execute(sql, (standing.bundle_version, standing.spiffe_sequence))?;
    for (ski, number) in &standing.crl_numbers {
        let ca = "ca = (SELECT id FROM ca WHERE ski = ?1)";
        let sql = format!("UPDATE crl SET reserved_number = max(reserved_number, ?2) WHERE {ca}");
        step.execute(&sql, (ski.as_bytes(), number))?;
        let sql = format!("DELETE FROM crl_reservation WHERE {ca} AND number <= ?2");
        step.execute(&sql, (ski.as_bytes(), number))?;
    }
    Ok(())
}

/// Whose a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// The deployment id.
    pub deployment: String,
    /// It has a hierarchy, or the plan of one.
    pub is_in_use: bool,
}

/// Looks whose the store at `path` is, whatever else is wrong with it. Its rows that still stand in its log count, and
/// stay there.
///
/// # Errors
/// It can't be read that far.
pub fn occupant(path: &Path) -> Result<Occupant> {
    look(path, |connection| {
        let found = one(connection, "SELECT id, plan IS NOT NULL FROM deployment", (), |row| {
            Ok(Occupant { deployment: row.get(0)?, is_in_use: row.get(1)? })
        })?;
        match found {
            Some(occupant) => Ok(occupant),
            None => conflict("its table deployment is empty".to_owned()),
        }
    })
}

/// Reads what stands at `at` in the store at `path`, on which nobody works. It stays as it is.
///
/// # Errors
/// It is damaged, or of another schema than this program's.
pub fn standing(path: &Path, at: Timestamp) -> Result<Standing> {
    look(path, |connection| {
        file::check_schema(connection, path)?;
        let numbers = one(connection, "SELECT bundle_version, spiffe_sequence FROM deployment", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let (bundle_version, spiffe_sequence) = numbers.unwrap_or_default();
        let sql = "SELECT ca.ski, crl.reserved_number FROM crl JOIN ca ON ca.id = crl.ca";
        let crl_numbers = all(connection, sql, (), |row| Ok((key_id(row, 0)?, row.get(1)?)))?;
        let lines = journal::standing(connection, at)?.lines;
        Ok(Standing { lines, bundle_version, spiffe_sequence, crl_numbers })
    })
}

fn look<T>(path: &Path, read: impl FnOnce(&Connection) -> Outcome<T>) -> Result<T> {
    file::check_header(path)?;
    told(path, || {
        let connection: Connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "query_only", true)?;
        read(&connection)
    })
}
