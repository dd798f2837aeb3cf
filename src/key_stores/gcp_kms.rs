//! `gcp-kms`: keys in Google Cloud KMS.

use super::{Factory, Failure, Named, described, endpoint, root};
use crate::settings::{
    BackendSettings, Fallback, KeySettings, Kind, Setting, Settings, SettingsError, StoreSettings,
};
use catalyst_gcp_kms::{
    Credentials, GcpKmsBackend, GcpKmsConfig, KeyRing, Opening, Protection, Reference, Rings,
};
use catalyst_signing::{SigningBackend, holds_pin};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const KEY_NAME: &str = "CATALYST_PKI_KMS_KEY_NAME";
const KEY_NAME_SERVICES: &str = "CATALYST_PKI_KMS_KEY_NAME_SERVICES";
const KEY_NAME_TRANSPORT: &str = "CATALYST_PKI_KMS_KEY_NAME_TRANSPORT";
const KEY_NAME_TOKENS: &str = "CATALYST_PKI_KMS_KEY_NAME_TOKENS";
const PROTECTION: &str = "CATALYST_PKI_GCP_PROTECTION";
const CREDENTIALS: &str = "CATALYST_PKI_GCP_CREDENTIALS";
const IMPERSONATE: &str = "CATALYST_PKI_GCP_IMPERSONATE";
const ENDPOINT: &str = "CATALYST_PKI_GCP_ENDPOINT";
const RATE: &str = "CATALYST_PKI_GCP_RATE";
const TIMEOUT: &str = "CATALYST_PKI_GCP_TIMEOUT";

/// Nine tenths of what Google allows a project in one location at first: 3,000 signatures of HSM keys a minute.
const RATE_HSM: u32 = 45;
/// Nine tenths of what Google allows a project at first: 60,000 cryptographic requests a minute.
const RATE_SOFTWARE: u32 = 900;

const SETTINGS: BackendSettings = BackendSettings {
    name: "gcp-kms",
    settings: ROWS,
    several: true,
    keys: Some(KeySettings {
        root: &Setting {
            fallback: Fallback::Unset("only existing keys are used"),
            ..key(
                KEY_NAME,
                "gcp-key-name",
                "gcp-kms.key_name",
                "Key ring in which keys are made, of every role that has none of its own; or existing key for the next root CA, or version of one, whose key ring is then that of the other roles",
            )
        },
        services: &key(
            KEY_NAME_SERVICES,
            "gcp-key-name-services",
            "gcp-kms.key_name_services",
            "Key ring or existing key for the next services CA",
        ),
        transport: &key(
            KEY_NAME_TRANSPORT,
            "gcp-key-name-transport",
            "gcp-kms.key_name_transport",
            "The same for the next transport CA",
        ),
        tokens: &key(
            KEY_NAME_TOKENS,
            "gcp-key-name-tokens",
            "gcp-kms.key_name_tokens",
            "The same for the next token signing key, which is an EC-P384 key",
        ),
        names_key: |name| !matches!(Reference::parse(name), Ok(Reference::Ring(_))),
    }),
};

pub(super) const FACTORY: Factory = Factory { settings: SETTINGS, takes_root_credentials: true, open };

const ROWS: &[Setting] = &[
    Setting::of_key_store(
        PROTECTION,
        "gcp-protection",
        "gcp-kms.protection",
        Kind::OneOf(&["hsm", "software"]),
        Fallback::Value("hsm"),
        "Where keys are held, at least: new ones are made there, and with `hsm` no others are taken",
    ),
    Setting::of_key_store(
        CREDENTIALS,
        "gcp-credentials",
        "gcp-kms.credentials",
        Kind::Path,
        Fallback::Unset("Application Default Credentials"),
        "Credentials file of Google's: configuration of a workload identity or of an impersonation, or a service account's key; without it the Application Default Credentials are used (`GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, the metadata server)",
    ),
    Setting::of_key_store(
        IMPERSONATE,
        "gcp-impersonate",
        "gcp-kms.impersonate",
        Kind::Checked { check: check_account, accepts: "address of a service account" },
        Fallback::Unset("no account is impersonated"),
        "Service account that is impersonated with those credentials",
    ),
    Setting::of_key_store(
        ENDPOINT,
        "gcp-endpoint",
        "gcp-kms.endpoint",
        Kind::Checked { check: check_endpoint, accepts: "`https` URL; `http` to this machine alone" },
        Fallback::Unset("Google's own"),
        "Another endpoint, such as a regional one or that of Private Service Connect",
    ),
    Setting::of_key_store(
        RATE,
        "gcp-rate",
        "gcp-kms.rate",
        Kind::Number { min: 1, max: 100_000, unit: "calls" },
        Fallback::Unset("45 with `hsm`, 900 with `software`"),
        "The most calls a second to one project and location: keep it below the project's quota",
    ),
    Setting::of_key_store(
        TIMEOUT,
        "gcp-timeout",
        "gcp-kms.timeout",
        Kind::Number { min: 1, max: 60, unit: "seconds" },
        Fallback::Value("3"),
        "How long one call may take, in seconds",
    ),
];

const fn key(variable: &'static str, flag: &'static str, key: &'static str, help: &'static str) -> Setting {
    let kind = Kind::Checked { check: check_name, accepts: "full name of a key ring, a key or a version" };
    Setting::of_key_store(
        variable,
        flag,
        key,
        kind,
        Fallback::Unset("a key is made in the key ring of `gcp-kms.key_name`"),
        help,
    )
}

fn check_name(text: &str) -> Result<(), String> {
    const FORM: &str = "the full name of a key ring, a key or a version is wanted, as projects/<p>/locations/<l>/keyRings/<r>, followed by /cryptoKeys/<k> and /cryptoKeyVersions/<n>";
    Reference::parse(text).map(drop).map_err(|_| FORM.to_owned())
}

fn check_endpoint(text: &str) -> Result<(), String> {
    endpoint::check(text, text, "https://cloudkms.europe-west3.rep.googleapis.com")
}

fn check_account(text: &str) -> Result<(), String> {
    if is_account(text) {
        return Ok(());
    }
    Err("the address of a service account is wanted, as catalyst-signer@my-project.iam.gserviceaccount.com"
        .into())
}

/// It becomes part of a path, and is compared with others: Google writes accounts in small letters.
fn is_account(text: &str) -> bool {
    let letters = |text: &str, more: &[u8]| {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(&c);
        !text.is_empty() && text.bytes().all(allowed)
    };
    text.len() <= 256
        && text.split_once('@').is_some_and(|(name, domain)| {
            letters(name, b"-._") && letters(domain, b"-.") && domain.ends_with(".gserviceaccount.com")
        })
}

fn open(settings: &Settings, named: Option<&str>) -> Result<Named, Failure> {
    let stores = described(settings, &SETTINGS, named);
    let configs = stores.map(|store| config(&store, settings)).collect::<Result<Vec<_>, _>>()?;
    root::keep_apart(
        &configs,
        |config| config.opening == Opening::WhileInUse,
        |root, other| opens(&other.credentials, &root.credentials),
        |config| &config.name,
        "uses the same account or file: give the root one of its own",
    )?;
    let backend = |config: GcpKmsConfig| -> (String, Arc<dyn SigningBackend>) {
        (config.name.clone(), Arc::new(GcpKmsBackend::new(config)))
    };
    Ok(configs.into_iter().map(backend).collect())
}

fn config(store: &StoreSettings<'_>, settings: &Settings) -> Result<GcpKmsConfig, SettingsError> {
    let (credentials, opening) = match root::credentials(store, settings)? {
        Some(given) => (root_credentials(store, given)?, Opening::WhileInUse),
        None => (credentials(store), Opening::Kept),
    };
    let (protection, usual) = match store.text(PROTECTION) {
        Some("software") => (Protection::Software, RATE_SOFTWARE),
        _ => (Protection::Hsm, RATE_HSM),
    };
    let calls_per_second = match store.text(RATE) {
        Some(_) => store.number(RATE, "a number of calls")?,
        None => usual,
    };
    Ok(GcpKmsConfig {
        name: store.name().to_owned(),
        rings: rings(store.name(), settings),
        protection,
        credentials,
        opening,
        endpoint: store.text(ENDPOINT).map(str::to_owned),
        calls_per_second,
        call_timeout: Duration::from_secs(store.number(TIMEOUT, "a number of seconds")?),
    })
}

/// Where keys are made in this key store: of the roles that use it, and of those that use no other of its kind, for their
/// next key may be wanted here.
fn rings(name: &str, settings: &Settings) -> Rings {
    let ring = |variable: &str| -> Option<KeyRing> {
        settings.values.text(variable).and_then(|text| Some(Reference::parse(text).ok()?.ring()))
    };
    let usual = ring(KEY_NAME);
    let backends = &settings.key_backends;
    let is_unused = !backends.any(name);
    let is_elsewhere = |chosen: &str| chosen != name && chosen.split(':').next() == Some(SETTINGS.name);
    let of = |chosen: &str, own: Option<KeyRing>| {
        (is_unused || !is_elsewhere(chosen)).then(|| own.or_else(|| usual.clone())).flatten()
    };
    Rings {
        root: of(&backends.root, None),
        services: of(&backends.services, ring(KEY_NAME_SERVICES)),
        transport: of(&backends.transport, ring(KEY_NAME_TRANSPORT)),
        token: of(&backends.tokens, ring(KEY_NAME_TOKENS)),
    }
}

fn credentials(store: &StoreSettings<'_>) -> Credentials {
    let file = store.text(CREDENTIALS).map(PathBuf::from);
    match (store.text(IMPERSONATE), file) {
        (Some(account), file) => Credentials::Impersonated { account: account.to_owned(), file },
        (None, Some(file)) => Credentials::File(file),
        (None, None) => Credentials::Default,
    }
}

/// Who asks for one operation of the root's. A credentials file beside an account is whose identity impersonates it.
fn root_credentials(store: &StoreSettings<'_>, given: &str) -> Result<Credentials, SettingsError> {
    let is_of_others = given.starts_with("arn:") || given.starts_with("profile/") || holds_pin(given);
    let (credentials, twice) = if is_account(given) {
        let file = store.text(CREDENTIALS).map(PathBuf::from);
        (Credentials::Impersonated { account: given.to_owned(), file }, &[IMPERSONATE][..])
    } else if given.contains('/') && !is_of_others {
        (Credentials::File(PathBuf::from(given)), &[IMPERSONATE, CREDENTIALS][..])
    } else {
        return Err(SettingsError::Together(format!(
            "CATALYST_PKI_ROOT_CREDENTIALS names no credentials of Google's: for the key store '{}' the address of a service account is wanted, as catalyst-root@my-project.iam.gserviceaccount.com, or the path of a credentials file",
            store.name()
        )));
    };
    root::given_once(store, twice.iter().copied().find(|row| store.text(row).is_some()))?;
    Ok(credentials)
}

/// Whether who has `everydays` has `roots` too: the same account, however it is reached, or the same file, whatever it is
/// read for.
fn opens(everydays: &Credentials, roots: &Credentials) -> bool {
    // A file may have several names. One that is not there is no other's yet.
    let same_file = |one: &Path, other: &Path| {
        let [one, other] = [one, other].map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        one == other
    };
    let same_account = roots.account().is_some_and(|account| everydays.account() == Some(account));
    same_account
        || match (everydays, roots) {
            (
                Credentials::File(one) | Credentials::Impersonated { file: Some(one), .. },
                Credentials::File(file),
            ) => same_file(one, file),
            _ => false,
        }
}
