//! `pkcs11`: keys in an HSM's tokens.

use super::{Factory, Failure, Named, described, root, token};
use crate::settings::{
    BackendSettings, Fallback, GivenSecret, KeySettings, Kind, Setting, Settings, SettingsError,
    StoreSettings,
};
use catalyst_pkcs11::{Opening, Pin, Pkcs11Backend, TokenChoice, TokenConfig};
use catalyst_signing::SigningBackend;
use secrecy::ExposeSecret as _;
use std::{path::PathBuf, sync::Arc};

const MODULE: &str = "CATALYST_PKI_PKCS11_MODULE";
const TOKEN: &str = "CATALYST_PKI_PKCS11_TOKEN";
const PIN: &str = "CATALYST_PKI_PKCS11_PIN";
const PIN_PAD: &str = "CATALYST_PKI_PKCS11_PIN_PAD";
const INIT: &str = "CATALYST_PKI_PKCS11_INIT";
const SESSIONS: &str = "CATALYST_PKI_PKCS11_SESSIONS";
const REQUIRE_SENSITIVE: &str = "CATALYST_PKI_PKCS11_REQUIRE_SENSITIVE";

const SETTINGS: BackendSettings = BackendSettings {
    name: "pkcs11",
    settings: ROWS,
    several: true,
    keys: Some(KeySettings {
        root: &key(
            "CATALYST_PKI_PKCS11_KEY",
            "pkcs11-key",
            "pkcs11.key",
            "Existing key for the next root CA: its label, or a PKCS#11 URI (RFC 7512)",
        ),
        services: &key(
            "CATALYST_PKI_PKCS11_KEY_SERVICES",
            "pkcs11-key-services",
            "pkcs11.key_services",
            "The same for the next services CA",
        ),
        transport: &key(
            "CATALYST_PKI_PKCS11_KEY_TRANSPORT",
            "pkcs11-key-transport",
            "pkcs11.key_transport",
            "The same for the next transport CA",
        ),
        tokens: &key(
            "CATALYST_PKI_PKCS11_KEY_TOKENS",
            "pkcs11-key-tokens",
            "pkcs11.key_tokens",
            "The same for the next token signing key, which is an EC-P384 key",
        ),
        names_key: |_| true,
    }),
};

pub(super) const FACTORY: Factory = Factory { settings: SETTINGS, takes_root_credentials: true, open };

const ROWS: &[Setting] = &[
    row(MODULE, "pkcs11-module", "pkcs11.module", Kind::Path, "The HSM vendor's PKCS#11 library"),
    row(
        TOKEN,
        "pkcs11-token",
        "pkcs11.token",
        Kind::Checked { check: check_token, accepts: "label, or PKCS#11 URI of token attributes" },
        "The token that holds the keys: its label, or a PKCS#11 URI (RFC 7512)",
    ),
    row(
        PIN,
        "pkcs11-pin-file",
        "pkcs11.pin",
        Kind::SecretWhenUsed,
        "User PIN of the token; its file, whose first line counts, is read at each login",
    ),
    Setting {
        fallback: Fallback::Value("false"),
        ..row(
            PIN_PAD,
            "pkcs11-pin-pad",
            "pkcs11.pin_pad",
            Kind::Bool,
            "The token asks for its PIN itself, at a PIN pad",
        )
    },
    Setting {
        fallback: Fallback::Unset("none"),
        ..row(
            INIT,
            "pkcs11-init",
            "pkcs11.init",
            Kind::Text,
            "Initialisation string for modules that want one (NSS softokn)",
        )
    },
    Setting {
        fallback: Fallback::Value("8"),
        ..row(
            SESSIONS,
            "pkcs11-sessions",
            "pkcs11.sessions",
            Kind::Number { min: 1, max: 256, unit: "sessions" },
            "The most sessions at once; the token's own limit counts too",
        )
    },
    Setting {
        fallback: Fallback::Value("true"),
        ..row(
            REQUIRE_SENSITIVE,
            "pkcs11-require-sensitive",
            "pkcs11.require_sensitive",
            Kind::Bool,
            "Refuse existing keys that may leave the token; `false` takes them, with a warning in the status as long as they are used",
        )
    },
];

const fn row(
    variable: &'static str,
    flag: &'static str,
    key: &'static str,
    kind: Kind,
    help: &'static str,
) -> Setting {
    Setting::of_key_store(
        variable,
        flag,
        key,
        kind,
        Fallback::Unset("the key store `pkcs11` cannot be used"),
        help,
    )
}

const fn key(variable: &'static str, flag: &'static str, key: &'static str, help: &'static str) -> Setting {
    let kind = Kind::Checked { check: token::check_key, accepts: "label, or PKCS#11 URI of a key" };
    Setting::of_key_store(variable, flag, key, kind, Fallback::Unset("a key is made"), help)
}

fn check_token(text: &str) -> Result<(), String> {
    token::choice(text).map(drop)
}

fn open(settings: &Settings, named: Option<&str>) -> Result<Named, Failure> {
    let stores = described(settings, &SETTINGS, named);
    let configs = stores.map(|store| config(&store, settings)).collect::<Result<Vec<_>, _>>()?;
    // A login belongs to the process and the token: one that another key store keeps would be the root's too.
    root::keep_apart(
        &configs,
        |config| config.opening == Opening::WhileInUse,
        may_be_one_token,
        |config| &config.name,
        "may be the same token: give the root one of its own, or name both by their serial numbers",
    )?;
    let backend = |config: TokenConfig| -> (String, Arc<dyn SigningBackend>) {
        (config.name.clone(), Arc::new(Pkcs11Backend::new(config)))
    };
    Ok(configs.into_iter().map(backend).collect())
}

fn config(store: &StoreSettings<'_>, settings: &Settings) -> Result<TokenConfig, SettingsError> {
    let module = PathBuf::from(store.required(MODULE, "the path of the HSM vendor's PKCS#11 library")?);
    let token = store.required(TOKEN, "the label of a token, or a PKCS#11 URI that names one")?;
    let token = token::choice(token)
        .map_err(|problem| SettingsError::Together(format!("{}: {problem}", store.called(TOKEN))))?;
    let (pin, opening) = match root::credentials(store, settings)? {
        Some(file) => (root_pin(store, file)?, Opening::WhileInUse),
        None => (pin(store)?, Opening::Kept),
    };
    Ok(TokenConfig {
        name: store.name().to_owned(),
        module,
        initialisation: store.text(INIT).map(str::to_owned),
        token,
        pin,
        sessions: store.number(SESSIONS, "a number of sessions")?,
        require_sensitive: store.text(REQUIRE_SENSITIVE) != Some("false"),
        opening,
    })
}

fn pin(store: &StoreSettings<'_>) -> Result<Pin, SettingsError> {
    let pad = store.text(PIN_PAD) == Some("true");
    match (store.secret(PIN), pad) {
        (None, true) => Ok(Pin::Pad),
        // It would be a wrong one, and cost a try.
        (Some(GivenSecret::Itself(pin)), false) if pin.expose_secret().contains(['\n', '\r']) => {
            Err(SettingsError::Together(format!(
                "{} holds a line break, which no PIN has: give it without",
                store.called(PIN)
            )))
        }
        (Some(GivenSecret::Itself(pin)), false) => Ok(Pin::Known(pin.clone())),
        (Some(GivenSecret::In(path)), false) => Ok(Pin::File(path.to_owned())),
        (Some(_), true) => Err(SettingsError::Together(format!(
            "{} and {} are both given: either the service has the PIN, or the token asks for it",
            store.called(PIN),
            store.called(PIN_PAD)
        ))),
        (None, false) => {
            Err(store.missing(PIN, "the user PIN of its token, best by the path of a file that holds it"))
        }
    }
}

/// The PIN of a token that is opened for one operation of the root's.
fn root_pin(store: &StoreSettings<'_>, file: &str) -> Result<Pin, SettingsError> {
    let pad = store.text(PIN_PAD) == Some("true");
    root::given_once(store, store.secret(PIN).map(|_| PIN).or(pad.then_some(PIN_PAD)))?;
    Ok(Pin::File(file.into()))
}

fn may_be_one_token(one: &TokenConfig, other: &TokenConfig) -> bool {
    // A library may have several names. One that is not there is no other's yet.
    let file = |config: &TokenConfig| config.module.canonicalize().unwrap_or_else(|_| config.module.clone());
    file(one) == file(other) && may_be_one(&one.token, &other.token)
}

/// Whether two choices may mean one token: nothing that both say tells them apart.
fn may_be_one(one: &TokenChoice, other: &TokenChoice) -> bool {
    let attributes = |choice: &TokenChoice| match choice.clone() {
        TokenChoice::Label(label) => [Some(label), None, None, None],
        TokenChoice::Uri { label, serial, manufacturer, model } => [label, serial, manufacturer, model],
    };
    attributes(one).into_iter().zip(attributes(other)).all(|pair| match pair {
        (Some(one), Some(other)) => one == other,
        _ => true,
    })
}
