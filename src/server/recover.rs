//! `catalyst token recover`: a new system token where the old one is lost, while no service runs.

use super::start::{Failure, config, let_go, open_key_stores, open_store, own_identity};
use crate::{
    access::{self, Access, Policies, RecoveredToken},
    authority::{Authority, NoObserver},
    identity::SystemClock,
    key_stores::Kinds,
    settings::Settings,
    telemetry::Metrics,
};
use std::sync::Arc;

/// Makes a new system token, records it and puts it in the file's place. Whoever may read the data directory and the
/// keys' passphrase may do this: they could sign any token anyway.
///
/// # Errors
/// A service that runs on the data directory (the error names it), a store that is not there, keys that can't be opened.
pub fn recover_token(settings: Settings, kinds: Kinds) -> Result<RecoveredToken, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let made = runtime.block_on(recover(settings, kinds));
    // What is left is a call to a key store that does not come back. Dropping the runtime would wait for it.
    runtime.shutdown_background();
    made
}

async fn recover(mut settings: Settings, kinds: Kinds) -> Result<RecoveredToken, Failure> {
    // Opening would make an empty one, whose token no service takes.
    if !settings.certs_db.is_file() {
        return Err(format!(
            "there is no certificate store at {}: name the service's data directory with --data-dir, or its store with --certs-db",
            settings.certs_db.display()
        )
        .into());
    }
    let metrics = Metrics::from_environment(&tokio::runtime::Handle::current())?;
    // Takes the lock on the data directory, which a running service holds.
    let (store, _) = open_store(&settings, &kinds).await?;
    if let Some(stored) = store.deployment().await?.trust_domain {
        settings.trust_domain = stored.to_string();
    }
    let config = config(&settings)?;
    let own = own_identity(&settings, &config.trust_domain)?;
    let key_stores = open_key_stores(kinds, &settings, &metrics).await?;
    let observer = Arc::new(NoObserver);
    let authority =
        Authority::open(config, store.clone(), key_stores.clone(), Arc::new(SystemClock), observer).await?;
    let made: Result<_, Failure> = async {
        let config = access::Config {
            own,
            domains: settings.domains.clone(),
            dev: settings.dev,
            bootstrap_ttl: settings.bootstrap_ttl,
        };
        // Nobody is asked who they are. So neither a broken directory of policies nor a preset token that was revoked,
        // which may be why this is done, stands in the way.
        let access = Access::new(config, store, authority.clock().clone(), Policies::built_in()?);
        access.open(authority.token_key().await?).await?;
        Ok(access.recover_system_token(&settings.data_dir).await?)
    }
    .await;
    // The store is closed whether it went well or not; the first failure is the one to tell.
    let closed = authority.shut_down().await;
    let_go(&key_stores).await;
    let made = made?;
    closed?;
    Ok(made)
}
