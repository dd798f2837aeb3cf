//! Credentials: a header of any bytes, and a token of any claims under our own signature. None is ever taken.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use catalyst_local::EphemeralBackend;
use catalyst_pki::{
    access::{Access, bearer},
    authority::{Authority, Config, NoObserver},
    identity::{SpkiHash, SystemClock},
    store::SqliteStore,
};
use catalyst_signing::{
    Guard, GuardedKey, KeyStores, Purpose, SigningBackend,
    ecdsa::{Curve, fixed_from_der},
};
use libfuzzer_sys::fuzz_target;
use std::{cell::OnceCell, sync::Arc, time::Duration};
use tokio::{runtime::Runtime, time::Instant};

struct Service {
    runtime: Runtime,
    access: Access,
    key: GuardedKey,
}

impl Service {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (access, key) = runtime.block_on(async {
            let store = Arc::new(SqliteStore::in_memory().unwrap());
            let local: Arc<dyn SigningBackend> = Arc::new(EphemeralBackend::new());
            let guard = Guard::new(Arc::new(catalyst_signing::NoObserver));
            let key_stores = Arc::new(KeyStores::new(guard, vec![("local".to_owned(), local)]));
            let config = Config::new("example.org".parse().unwrap());
            let clock = Arc::new(SystemClock);
            let authority =
                Authority::open(config, store.clone(), key_stores, clock.clone(), Arc::new(NoObserver))
                    .await
                    .unwrap();
            let key = authority.token_key().await.unwrap();
            let issuer = "spiffe://example.org/auth/a".parse().unwrap();
            let access = Access::new(store, clock);
            access.open(authority.token_key().await.unwrap(), issuer).unwrap();
            (access, key)
        });
        Self { runtime, access, key }
    }

    fn refuses(&self, credential: &str) {
        assert!(self.runtime.block_on(self.access.authenticate(credential)).is_err());
    }

    fn signed(&self, claims: &[u8]) -> String {
        let kid = SpkiHash::of_spki(&self.key.pin().spki);
        let header = format!(r#"{{"alg":"ES384","kid":"{kid}","typ":"JWT"}}"#);
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let deadline = Instant::now() + Duration::from_secs(10);
        let signing = self.key.sign(Purpose::Token, input.clone().into_bytes(), deadline);
        let signature = self.runtime.block_on(signing).unwrap().signature;
        let signature = fixed_from_der(Curve::P384, &signature).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

thread_local! {
    static SERVICE: OnceCell<Service> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    SERVICE.with(|service| {
        let service = service.get_or_init(Service::start);
        match data.split_first() {
            Some((0, claims)) => service.refuses(&service.signed(claims)),
            _ => {
                if let Some(token) = bearer(data) {
                    assert!(!token.is_empty() && !token.starts_with(' '));
                    service.refuses(token);
                }
            }
        }
    });
});
