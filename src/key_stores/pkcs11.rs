//! `pkcs11`: keys in an HSM's tokens.

use super::{Factory, Failure, Named, described, token};
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
    let fallback = Fallback::Unset("the key store `pkcs11` cannot be used");
    Setting { variable, flag: Some(flag), key: Some(key), kind, fallback, dev: None, help }
}

const fn key(variable: &'static str, flag: &'static str, key: &'static str, help: &'static str) -> Setting {
    let kind = Kind::Checked { check: token::check_key, accepts: "label, or PKCS#11 URI of a key" };
    let fallback = Fallback::Unset("a key is made");
    Setting { variable, flag: Some(flag), key: Some(key), kind, fallback, dev: None, help }
}

fn check_token(text: &str) -> Result<(), String> {
    token::choice(text).map(drop)
}

fn open(settings: &Settings, named: Option<&str>) -> Result<Named, Failure> {
    let stores = described(settings, &SETTINGS, named);
    let configs = stores.map(|store| config(&store, settings)).collect::<Result<Vec<_>, _>>()?;
    keep_root_apart(&configs)?;
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
    let (pin, opening) = match &settings.root_credentials {
        Some(file) if settings.key_backends.root == store.name() => {
            (root_pin(store, settings, file)?, Opening::WhileInUse)
        }
        _ => (pin(store)?, Opening::Kept),
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
fn root_pin(store: &StoreSettings<'_>, settings: &Settings, file: &str) -> Result<Pin, SettingsError> {
    let name = store.name();
    if settings.key_backends.any_but_root(name) {
        return Err(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS opens the key store '{name}' for root operations alone, and other roles use it too: give the root a token of its own, as [pkcs11.root] in the settings file, or unset it"
        )));
    }
    if store.secret(PIN).is_some() || store.text(PIN_PAD) == Some("true") {
        return Err(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS and {} are both given for the root's token: give one of them",
            store.called(if store.secret(PIN).is_some() { PIN } else { PIN_PAD })
        )));
    }
    Ok(Pin::File(file.into()))
}

/// A login belongs to the process and the token: one that another key store keeps would be the root's too.
fn keep_root_apart(configs: &[TokenConfig]) -> Result<(), SettingsError> {
    let Some(root) = configs.iter().find(|config| config.opening == Opening::WhileInUse) else {
        return Ok(());
    };
    // A library may have several names. One that is not there is no other's yet.
    let file = |config: &TokenConfig| config.module.canonicalize().unwrap_or_else(|_| config.module.clone());
    let same_token = |other: &&TokenConfig| {
        other.name != root.name && file(other) == file(root) && may_be_one(&other.token, &root.token)
    };
    match configs.iter().find(same_token) {
        None => Ok(()),
        Some(other) => Err(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS opens the token of '{}' for root operations alone, and '{}' may be the same token: give the root one of its own, or name both by their serial numbers",
            root.name, other.name
        ))),
    }
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
