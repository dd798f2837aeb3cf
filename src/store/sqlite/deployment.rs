//! What the store belongs to, the plan, and the bundle's versions.

use super::{
    fault::{Fault, Outcome, conflict},
    step::{Step, one},
};
use crate::{
    identity::{Timestamp, TrustDomain},
    store::{Deployment, InitPlan, Stamp},
};
use rusqlite::Connection;

pub(super) fn deployment(connection: &Connection) -> Outcome<Deployment> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?));
    let row = one(connection, "SELECT id, trust_domain FROM deployment", (), read)?;
    let (id, domain) = row.ok_or_else(missing)?;
    let trust_domain = domain.map(|text| text.parse::<TrustDomain>()).transpose();
    Ok(Deployment { id, trust_domain: trust_domain.map_err(|error| Fault::Row(error.to_string()))? })
}

pub(super) fn newest_time(connection: &Connection) -> Outcome<Timestamp> {
    let newest = one(connection, "SELECT newest_time FROM deployment", (), |row| row.get(0))?;
    newest.map(Timestamp::from_millis).ok_or_else(missing)
}

/// The plan, when it was completed, and the bundle's two versions.
pub(super) struct Standing {
    pub(super) plan: Option<InitPlan>,
    pub(super) initialized_at: Option<Timestamp>,
    pub(super) bundle_version: i64,
    pub(super) spiffe_sequence: i64,
}

pub(super) fn standing(connection: &Connection) -> Outcome<Standing> {
    let sql = "SELECT plan, initialized_at, bundle_version, spiffe_sequence FROM deployment";
    let read = |row: &rusqlite::Row<'_>| {
        let plan: Option<String> = row.get(0)?;
        Ok((plan, row.get::<_, Option<i64>>(1)?, row.get(2)?, row.get(3)?))
    };
    let (plan, initialized_at, bundle_version, spiffe_sequence) =
        one(connection, sql, (), read)?.ok_or_else(missing)?;
    let plan = plan.map(|json| serde_json::from_str(&json)).transpose();
    Ok(Standing {
        plan: plan.map_err(|error| Fault::Row(format!("deployment.plan: {error}")))?,
        initialized_at: initialized_at.map(Timestamp::from_millis),
        bundle_version,
        spiffe_sequence,
    })
}

fn missing() -> Fault {
    Fault::Row("the row of table deployment is missing".to_owned())
}

pub(super) fn begin_initialization(step: &mut Step<'_>, plan: &InitPlan, stamp: &Stamp) -> Outcome<InitPlan> {
    if let Some(stored) = standing(step.connection())?.plan {
        if stored.trust_domain != plan.trust_domain {
            return conflict(format!(
                "this store belongs to the trust domain '{}', the settings name '{}': correct the setting, or use another data directory for the other domain",
                stored.trust_domain, plan.trust_domain
            ));
        }
        return Ok(stored);
    }
    if let Err(error) = plan.trust_domain.parse::<TrustDomain>() {
        return conflict(error.to_string());
    }
    let json = serde_json::to_string(plan).map_err(|error| Fault::Row(error.to_string()))?;
    step.execute("UPDATE deployment SET trust_domain = ?1, plan = ?2", (&plan.trust_domain, &json))?;
    step.audit(stamp, "ca.planned", &plan.trust_domain, json)?;
    Ok(plan.clone())
}

pub(super) fn refresh_bundle(step: &mut Step<'_>, at: Timestamp) -> Outcome<bool> {
    let expired = expired_since(step, at)?;
    if expired.any {
        raise_bundle(step, at, false)?;
    }
    Ok(expired.any)
}

/// The set of live CAs has changed at `at`; with `roots`, that of live roots too.
pub(super) fn raise_bundle(step: &Step<'_>, at: Timestamp, roots: bool) -> Outcome<()> {
    let roots = roots || expired_since(step, at)?.root;
    step.execute(
        "UPDATE deployment SET bundle_version = max(bundle_version + 1, ?1), bundle_at = max(bundle_at, ?2),
             spiffe_sequence = iif(?3, max(spiffe_sequence + 1, ?1), spiffe_sequence)",
        (at.seconds(), at.millis(), roots),
    )?;
    Ok(())
}

/// Which CAs left the bundle by expiring since its versions were last raised.
struct Expired {
    any: bool,
    root: bool,
}

fn expired_since(step: &Step<'_>, at: Timestamp) -> Outcome<Expired> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE ca.role = 'root')
         FROM ca JOIN ca_key USING (role, generation)
         WHERE ca.revoked_at IS NULL AND ca_key.state <> 'retired' AND ca.not_after <= ?1
             AND ca.not_after > (SELECT bundle_at FROM deployment)";
    let counted = step.one(sql, [at.millis()], |row| {
        Ok(Expired { any: row.get::<_, i64>(0)? > 0, root: row.get::<_, i64>(1)? > 0 })
    })?;
    Ok(counted.unwrap_or(Expired { any: false, root: false }))
}

pub(super) fn policies_in_force(step: &mut Step<'_>, hash: &str, stamp: &Stamp) -> Outcome<bool> {
    let before: Option<String> = step.one("SELECT policies FROM deployment", (), |row| row.get(0))?.flatten();
    if before.as_deref() == Some(hash) {
        return Ok(false);
    }
    step.execute("UPDATE deployment SET policies = ?1", [hash])?;
    let detail = serde_json::json!({ "from": before, "to": hash });
    step.audit(stamp, "policy.replaced", "policies", detail.to_string())?;
    Ok(before.is_some())
}
