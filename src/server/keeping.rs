//! What the service does of itself for access and audit: denials into the log and a signed head every minute, old
//! records into sealed files every hour.

use super::app::App;
use crate::{
    access::{Refresh, SignedHead},
    store::{AuditHead, AuditVerdict},
};
use std::time::Duration;
use tokio::{
    runtime::Handle,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);
/// Sealing has its turn once in so many rounds.
const SEALING_ROUNDS: u32 = 60;
/// The system token and the whole audit log are looked at once a day.
const DAILY_ROUNDS: u32 = 24 * 60;
/// How long the last head may take when the service ends.
const LAST_HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// How often a policy directory is looked at.
const POLICIES_EVERY: Duration = Duration::from_secs(10);

/// Looks at the policy directory until the token is cancelled. What lies there holds once it is valid, and is on record.
pub(super) async fn follow_policies(app: App, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(POLICIES_EVERY)).await.is_some() {
        let (looker, runtime) = (app.clone(), Handle::current());
        let look = move || {
            let access = looker.access();
            // On record first: what can't be recorded does not happen.
            access.policies().refresh_if(|hash| {
                runtime.block_on(access.record_policies(hash)).map(drop).map_err(|error| error.to_string())
            })
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Refresh::Replaced { hash }) => {
                tracing::warn!(target: "catalyst.auth", policies = hash, "Policies replaced");
            }
            Ok(Refresh::Unrecorded { why }) => {
                tracing::error!(target: "catalyst.auth", error = why,
                    "Policies not replaced — the change could not be recorded; tried again");
            }
            Ok(Refresh::Broken { error, first_seen: true }) => {
                tracing::error!(target: "catalyst.auth", error = %error,
                    "Policies not replaced — the last good ones hold; correct the directory CATALYST_POLICY_DIR");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(target: "catalyst.auth", error = %error, "Policy directory not read");
            }
        }
    }
}

/// Goes on until the token is cancelled; then signs the last head.
pub(super) async fn keep(app: App, stop: CancellationToken) {
    let mut rounds = interval_at(Instant::now() + EVERY, EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut signed = None;
    let _stopped = stop.run_until_cancelled(check_audit(&app)).await;
    let mut round = 0;
    while stop.run_until_cancelled(rounds.tick()).await.is_some() {
        signed = log_head(&app, signed).await.or(signed);
        if round % SEALING_ROUNDS == 0 {
            seal(&app, &stop).await;
        }
        round += 1;
        if round % DAILY_ROUNDS == 0 {
            let _stopped = stop.run_until_cancelled(check_audit(&app)).await;
        }
        if round % DAILY_ROUNDS == 0 && app.places().makes_system_token {
            look_at_system_token(&app).await;
        }
    }
    if tokio::time::timeout(LAST_HEAD_PATIENCE, log_head(&app, signed)).await.is_err() {
        tracing::warn!(target: "catalyst.pki", "Last audit head not signed — the key store did not answer in time");
    }
}

/// Writes down what was denied, signs where the log ends then, and says so, so that heads live elsewhere too.
async fn log_head(app: &App, last: Option<AuditHead>) -> Option<AuditHead> {
    if let Err(error) = app.access().record_denials().await {
        tracing::error!(target: "catalyst.pki", error = %error, "Policy denials not recorded");
    }
    match app.access().sign_head(last).await {
        Ok(Some(SignedHead { head, at, kid, signature })) => {
            tracing::info!(target: "catalyst.pki", seq = head.seq, hash = crate::identity::hex(&head.hash),
                at = at.millis(), kid, signature, "Audit head");
            Some(head)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::error!(target: "catalyst.pki", error = %error, "Audit head not signed");
            None
        }
    }
}

async fn look_at_system_token(app: &App) {
    if let Err(error) = app.access().look_at_system_token(&app.places().data_dir).await {
        tracing::error!(target: "catalyst.auth", error = %error,
            "System token is not good — remove the file system-token and restart to make a new one");
    }
}

/// Recomputes the chain of what is in the store, at the start and once a day.
async fn check_audit(app: &App) {
    match app.authority().store().verify_audit().await {
        Ok(AuditVerdict::Intact(_)) => app.audit_found(None),
        Ok(AuditVerdict::Broken { seq }) => {
            app.audit_found(Some(seq));
            tracing::error!(target: "catalyst.pki", critical = true, seq, "Audit log is not intact");
        }
        Err(error) => tracing::error!(target: "catalyst.pki", error = %error, "Audit log not checked"),
    }
}

async fn seal(app: &App, stop: &CancellationToken) {
    let data_dir = &app.places().data_dir;
    while !stop.is_cancelled() {
        match app.access().seal_audit(data_dir).await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                tracing::error!(target: "catalyst.pki", error = %error, "Audit records not sealed");
                break;
            }
        }
    }
    if let Err(error) = app.access().drop_old_seals(data_dir).await {
        tracing::error!(target: "catalyst.pki", error = %error, "Old audit files not deleted");
    }
}
