//! The library, with a key store of one's own.

use crate::chain;
use catalyst_pki::{
    authority::{self, Authority, Config, InitRequest, KeyBackends},
    identity::{Actor, ServiceType, SystemClock, Workload},
    store::{SqliteStore, Store},
};
use catalyst_signing::{Guard, KeyStores, NoObserver, SigningBackend};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use toy_backend::{ToyBackend, ToyConfig, vault::Vault};

/// A CA over this store, with its keys in the vault.
async fn open(store: Arc<dyn Store>, vault: &Vault) -> Arc<Authority> {
    let toy: Arc<dyn SigningBackend> = Arc::new(ToyBackend::new(ToyConfig {
        socket: vault.socket().to_owned(),
        timeout: Duration::from_secs(10),
        calls_per_second: 1000,
    }));
    let key_stores = KeyStores::new(Guard::new(Arc::new(NoObserver)), [("toy".to_owned(), toy)]);
    let mut config = Config::new("example.org".parse().unwrap());
    config.key_backends = KeyBackends::all("toy");
    let (clock, observer) = (Arc::new(SystemClock), Arc::new(authority::NoObserver));
    Authority::open(config, store, Arc::new(key_stores), clock, observer).await.unwrap()
}

async fn issue(ca: &Arc<Authority>) -> String {
    let gateway =
        Workload::new(ca.trust_domain(), ServiceType::Gateway, "gateway-a".parse().unwrap()).unwrap();
    let (_, svid) = ca.issue_with_new_key(gateway, None, None, Actor::Service).await.unwrap();
    svid.certificate_pem
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_signs_with_it_before_and_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let vault = Vault::start(&directory.path().join("vault.sock")).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());

    let ca = open(store.clone(), &vault).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    let bundle = ca.bundle().unwrap().pem();
    chain::verifies(&bundle, &issue(&ca).await);
    drop(ca);

    let ca = open(store, &vault).await;
    assert_eq!(ca.bundle().unwrap().pem(), bundle);
    chain::verifies(&bundle, &issue(&ca).await);
}
