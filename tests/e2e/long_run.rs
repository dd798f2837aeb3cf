//! The system token and the keys of tokens over a year, with a clock that the test sets.

use crate::library::{Library, workload};
use catalyst_pki::{
    access::{Access, AccessError, Config, Policies, Rotated, SEALED_DIRECTORY},
    authority::{Authority, AuthorityError},
    client::{
        audit::Chain,
        heads::{Finding, HeadKeys},
        sealed,
    },
    identity::Actor,
};
use serde_json::Value;
use std::{path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;

const OWN: &str = "spiffe://catalyst.example.com/auth/pki-1";
const DAY: i64 = 86_400;

/// What a failed rotation says, whichever part failed.
#[derive(Debug)]
#[expect(dead_code, reason = "for what a failed test shows")]
struct Failed(String);

impl From<AccessError> for Failed {
    fn from(error: AccessError) -> Self {
        Self(error.to_string())
    }
}

impl From<AuthorityError> for Failed {
    fn from(error: AuthorityError) -> Self {
        Self(error.to_string())
    }
}

async fn access(library: &Library, authority: &Arc<Authority>) -> Access {
    let config = Config {
        own: workload(OWN),
        domains: Vec::new(),
        dev: false,
        bootstrap_ttl: Duration::from_secs(3_600),
    };
    let (store, clock) = (library.store.clone(), authority.clock().clone());
    let access = Access::new(config, store, clock, Policies::built_in().unwrap());
    access.open(authority.token_key().await.unwrap()).await.unwrap();
    access
}

async fn rotate(access: &Access, authority: &Arc<Authority>, grace: i64, data_dir: &Path) -> Rotated {
    let next = async { Ok::<_, Failed>(authority.next_token_key(Actor::System).await?) };
    access.rotate(next, grace, Some(data_dir), Actor::System).await.unwrap()
}

#[tokio::test]
async fn a_service_that_runs_for_a_year_looks_at_its_system_token() {
    let (library, home) = (Library::new(), TempDir::new().unwrap());
    let authority = library.initialized().await;
    let access = access(&library, &authority).await;
    let (_, made) = access.system_token(home.path()).await.unwrap();
    assert!(made);
    library.pass(364 * DAY);
    access.look_at_system_token(home.path()).await.unwrap();
    library.pass(DAY);
    let look = access.look_at_system_token(home.path()).await;
    assert!(matches!(look, Err(AccessError::Expired)), "{look:?}");
    assert!(access.system_token(home.path()).await.unwrap().1);
    access.look_at_system_token(home.path()).await.unwrap();
}

/// The keys in force after a rotation are not read from the store: that could fail when the step is done.
#[tokio::test]
async fn the_keys_after_a_rotation_are_those_that_a_restart_finds() {
    let (library, home) = (Library::new(), TempDir::new().unwrap());
    let authority = library.initialized().await;
    let access = access(&library, &authority).await;
    let kids = |jwks: &Value| -> Vec<String> {
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    for (grace, after, live) in [(2 * DAY, 0, 2), (DAY, 0, 3), (7 * DAY, DAY, 2), (0, 0, 1), (60, 61, 1)] {
        let rotated = rotate(&access, &authority, grace, home.path()).await;
        library.pass(after);
        let here = kids(&access.jwks().unwrap());
        assert_eq!((here.len(), &here[0]), (live, &rotated.new), "{grace}");
        access.read_keys().await.unwrap();
        let mut found = kids(&access.jwks().unwrap());
        assert_eq!(found[0], here[0]);
        let mut here = here;
        here.sort();
        found.sort();
        assert_eq!(here, found, "{grace}");
    }
}

/// A key store that was away comes back: the key that was active is opened late, after a rotation.
#[tokio::test]
async fn a_key_that_is_opened_late_does_not_take_over_from_its_successor() {
    let (library, home) = (Library::new(), TempDir::new().unwrap());
    let authority = library.initialized().await;
    let access = access(&library, &authority).await;
    let late = authority.token_key().await.unwrap();
    rotate(&access, &authority, 0, home.path()).await;
    access.open(late).await.unwrap();
    let (token, _) = access.system_token(home.path()).await.unwrap();
    std::fs::remove_file(home.path().join("system-token")).unwrap();
    let (another, made) = access.system_token(home.path()).await.unwrap();
    use secrecy::ExposeSecret as _;
    assert!(made);
    for token in [token, another] {
        access.verify(token.expose_secret(), None).await.unwrap();
    }
}

/// What the service seals is what `audit verify --sealed` reads: both ends of the format in one test.
#[tokio::test]
async fn sealed_files_are_what_the_client_verifies() {
    let (library, home) = (Library::new(), TempDir::new().unwrap());
    let authority = library.initialized().await;
    let access = access(&library, &authority).await;
    library.pass(31 * DAY);
    let seal = access.seal_audit(home.path()).await.unwrap().expect("records of a month ago");
    let files = sealed::files(&home.path().join(SEALED_DIRECTORY)).unwrap();
    assert_eq!(files.len(), 1);
    let mut chain = Chain::new(sealed::base(&files[0]).unwrap(), [seal.head.seq]);
    let keys = HeadKeys::from_jwks(&access.jwks().unwrap());
    assert_eq!(sealed::follow(&files[0], &mut chain, &keys), Ok(Finding::Holds));
    assert_eq!((chain.base().seq, chain.end().seq), (0, seal.head.seq));
}
