//! `toy`: keys in a vault behind a Unix socket.

use catalyst_pki::{
    key_stores::{Factory, Failure, Named, described},
    settings::{BackendSettings, Fallback, Kind, Setting, Settings},
};
use catalyst_signing::SigningBackend;
use std::{path::PathBuf, sync::Arc, time::Duration};
use toy_backend::{ToyBackend, ToyConfig};

const SOCKET: &str = "CATALYST_PKI_TOY_SOCKET";
const RATE: &str = "CATALYST_PKI_TOY_RATE";

const SETTINGS: BackendSettings = BackendSettings { name: "toy", settings: ROWS, several: true, keys: None };

/// What the program's list of kinds has of it.
pub(crate) const FACTORY: Factory = Factory { settings: SETTINGS, takes_root_credentials: false, open };

const ROWS: &[Setting] = &[
    Setting {
        variable: SOCKET,
        flag: Some("toy-socket"),
        key: Some("toy.socket"),
        kind: Kind::Path,
        fallback: Fallback::Unset("the key store `toy` cannot be used"),
        dev: None,
        help: "The vault's socket",
    },
    Setting {
        variable: RATE,
        flag: Some("toy-rate"),
        key: Some("toy.rate"),
        kind: Kind::Number { min: 1, max: 100_000, unit: "calls" },
        fallback: Fallback::Value("1000"),
        dev: None,
        help: "The most questions a second",
    },
];

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(3);

fn open(settings: &Settings, named: Option<&str>) -> Result<Named, Failure> {
    let mut stores = Named::new();
    for store in described(settings, &SETTINGS, named) {
        let config = ToyConfig {
            socket: PathBuf::from(store.required(SOCKET, "the path of the vault's socket")?),
            timeout: TIMEOUT,
            calls_per_second: store.number(RATE, "a number of calls")?,
        };
        let backend: Arc<dyn SigningBackend> = Arc::new(ToyBackend::new(config));
        stores.push((store.name().to_owned(), backend));
    }
    Ok(stores)
}
