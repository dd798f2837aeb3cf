use super::*;
use secrecy::ExposeSecret as _;
use std::{fs, os::unix::fs::PermissionsExt as _};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse battery staple";

fn table() -> Table {
    Table::new([BackendSettings::new("local", &[])])
}

/// What an operator said: `--dev`, flags, variables.
fn inputs(dev: bool, flags: &[(&'static str, &str)], vars: &[(&str, &str)]) -> Inputs {
    Inputs {
        dev,
        flags: flags.iter().map(|(flag, value)| (*flag, (*value).to_owned())).collect(),
        environment: Environment::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into()))),
    }
}

fn read(dev: bool, flags: &[(&'static str, &str)], vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::read(&table(), &inputs(dev, flags, vars))
}

fn sentence(dev: bool, flags: &[(&'static str, &str)], vars: &[(&str, &str)]) -> String {
    read(dev, flags, vars).unwrap_err().to_string()
}

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn origin(settings: &Settings, variable: &str) -> Origin {
    settings.values.values[variable].origin
}

#[test]
fn the_guides_defaults_hold() {
    let settings = read(false, &[], &[]).unwrap();
    assert_eq!(settings.trust_domain, "catalyst.example.com");
    assert_eq!(settings.svid_ttl, Duration::from_secs(3600));
    assert_eq!(settings.certs_db, Path::new("certs.db"));
    assert_eq!(settings.data_dir, Path::new("."));
    assert_eq!(settings.local_keys, Path::new("./keys"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:4020");
    assert_eq!(settings.key_backends.tokens, "local");
    assert_eq!(settings.issue_limit, NonZeroU64::new(10));
    assert_eq!(settings.signing_concurrency, 128);
    assert_eq!(settings.algorithm, "EC-P384");
    assert_eq!((settings.log_format, settings.log_level), (LogFormat::Json, LogLevel::Info));
    assert_eq!((settings.public_listen, settings.node_id), (None, None));
}

#[test]
fn dev_has_defaults_of_its_own_and_yields_to_what_is_said() {
    let settings = read(true, &[], &[("CATALYST_PKI_LOG_FORMAT", "json")]).unwrap();
    assert_eq!(settings.svid_ttl, Duration::from_secs(86_400));
    assert_eq!(settings.issue_limit, None);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(origin(&settings, "CATALYST_PKI_SVID_TTL"), Origin::DevDefault);
    assert_eq!(origin(&settings, "CATALYST_PKI_LOG_FORMAT"), Origin::Environment);
}

#[test]
fn flags_outrank_variables_and_these_the_file() {
    let directory = TempDir::new().unwrap();
    let config = file(
        &directory,
        "c.toml",
        "svid_ttl = 100\nissue_limit = 1\nlisten = '127.0.0.1:1'\ndomains = ['a.org', 'b.org']\n",
    );
    let vars = [
        ("CATALYST_PKI_CONFIG", config.as_str()),
        ("CATALYST_PKI_ISSUE_LIMIT", "2"),
        ("CATALYST_PKI_LISTEN", "127.0.0.1:2"),
    ];
    let settings = read(false, &[("listen", "127.0.0.1:3")], &vars).unwrap();
    assert_eq!(settings.svid_ttl, Duration::from_secs(100));
    assert_eq!(settings.issue_limit, NonZeroU64::new(2));
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.domains, ["a.org", "b.org"]);
    let origins = ["CATALYST_PKI_SVID_TTL", "CATALYST_PKI_ISSUE_LIMIT", "CATALYST_PKI_LISTEN"];
    assert_eq!(
        origins.map(|variable| origin(&settings, variable)),
        [Origin::File, Origin::Environment, Origin::Flag]
    );
}

#[test]
fn an_unknown_variable_stops_the_start_and_names_its_neighbour() {
    assert_eq!(
        sentence(false, &[], &[("CATALYST_PKI_SVID_TTLS", "60")]),
        "unknown variable CATALYST_PKI_SVID_TTLS: did you mean CATALYST_PKI_SVID_TTL?"
    );
    // Only a secret has a variable for a file.
    assert!(sentence(false, &[], &[("CATALYST_PKI_LISTEN_FILE", "x")]).starts_with("unknown variable"));
    assert!(read(false, &[], &[("CATALYST_OTHER", "x"), ("HOME", "/")]).is_ok());
}

#[test]
fn the_guides_other_variables_are_accepted() {
    let vars = [
        ("CATALYST_PKI_AUTO_RENEW", "true"),
        ("CATALYST_PEER_AUTH_MODE", "both"),
        ("CATALYST_PEERING_ENDPOINT", "ws://localhost:3000/rpc"),
        ("CATALYST_PEERING_SECRET", "valid-secret"),
        ("CATALYST_AUTH_URL", "ws://auth:4020/rpc"),
        ("CATALYST_AUTH_TOKEN", "x"),
        ("CATALYST_BOOTSTRAP_TTL", "86400000"),
        ("CATALYST_BOOTSTRAP_TOKEN", "dev-bootstrap-token"),
    ];
    assert!(read(true, &[], &vars).is_ok());
}

#[test]
fn an_unknown_key_names_its_neighbour_and_the_file() {
    let directory = TempDir::new().unwrap();
    let config = file(&directory, "c.toml", "trust_domian = 'a'\n");
    assert_eq!(
        sentence(false, &[("config", &config)], &[]),
        format!("unknown key 'trust_domian' in {config}: did you mean trust_domain?")
    );
    let config = file(&directory, "c.toml", "[pki]\nlisten = 'a'\n");
    assert!(sentence(false, &[("config", &config)], &[]).starts_with("unknown key 'pki.listen'"));
}

#[test]
fn a_broken_file_is_named_with_the_line_and_without_its_text() {
    let directory = TempDir::new().unwrap();
    let config = file(&directory, "c.toml", "listen = '127.0.0.1:1'\nlocal_passphrase = 'secret\n");
    let sentence = sentence(false, &[("config", &config)], &[]);
    assert!(sentence.contains("is not valid TOML at line 2"), "{sentence}");
    assert!(!sentence.contains("secret"), "{sentence}");
    let missing = read(false, &[("config", "/nowhere/c.toml")], &[]).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the settings file /nowhere/c.toml"), "{missing}");
    let config = file(&directory, "c.toml", "svid_ttl = 1.5\n");
    assert!(matches!(read(false, &[("config", &config)], &[]), Err(SettingsError::WrongType { .. })));
}

#[test]
fn values_are_refused_with_their_variable_origin_and_form() {
    assert_eq!(
        sentence(false, &[], &[("CATALYST_PKI_SVID_TTL", "90000")]),
        "CATALYST_PKI_SVID_TTL is '90000' (env): a whole number of seconds from 1 to 86400 is wanted"
    );
    assert_eq!(
        sentence(false, &[("key-backend", "aws-kms")], &[]),
        "CATALYST_PKI_KEY_BACKEND is 'aws-kms' (flag): this build has no such key store; it has: local"
    );
    let bad = [
        ("CATALYST_PKI_LISTEN", "localhost"),
        ("CATALYST_PKI_ALGORITHM", "P-384"),
        ("CATALYST_PKI_TRUST_DOMAIN", "spiffe://a"),
        ("CATALYST_PKI_LOG_LEVEL", "loud"),
        ("CATALYST_PKI_DNS_NAMES", "gateway"),
        ("CATALYST_PKI_KEY_BACKEND_TOKENS", "Local"),
        ("CATALYST_PEER_AUTH_MODE", "none"),
    ];
    for (variable, value) in bad {
        let sentence = sentence(false, &[], &[(variable, value)]);
        assert!(sentence.starts_with(&format!("{variable} is '{value}' (env): ")), "{sentence}");
    }
}

#[test]
fn a_role_uses_the_common_key_store_unless_it_has_its_own() {
    let backends = [BackendSettings::new("local", &[]), BackendSettings::new("hsm", &[])];
    let vars = [("CATALYST_PKI_KEY_BACKEND", "hsm"), ("CATALYST_PKI_KEY_BACKEND_TOKENS", "local")];
    let settings = Settings::read(&Table::new(backends), &inputs(false, &[], &vars)).unwrap();
    assert_eq!(settings.key_backends.root, "hsm");
    assert_eq!(settings.key_backends.tokens, "local");
    assert!(settings.key_backends.any("local"));
}

#[test]
fn a_key_store_brings_rows_of_its_own() {
    static ROWS: &[Setting] = &[Setting {
        variable: "CATALYST_PKI_HSM_PIN",
        flag: Some("hsm-pin-file"),
        key: Some("hsm.pin"),
        kind: Kind::Secret { min_chars: 4, short_in_dev: false },
        fallback: Fallback::Unset("nothing"),
        dev: None,
        help: "PIN",
    }];
    let directory = TempDir::new().unwrap();
    let config = file(&directory, "c.toml", "[hsm]\npin = '123456'\n");
    let table = Table::new([BackendSettings::new("local", &[]), BackendSettings::new("hsm", ROWS)]);
    let settings = Settings::read(&table, &inputs(false, &[("config", &config)], &[])).unwrap();
    assert_eq!(settings.values.secret("CATALYST_PKI_HSM_PIN").unwrap().expose_secret(), "123456");
    assert!(read(false, &[("config", &config)], &[]).is_err());
}

#[test]
fn a_secret_comes_from_a_file_without_its_last_newline() {
    let directory = TempDir::new().unwrap();
    for (text, wanted) in [
        (format!("{PASSPHRASE}\n"), PASSPHRASE.to_owned()),
        (format!("{PASSPHRASE}\r\n"), PASSPHRASE.to_owned()),
        (format!(" {PASSPHRASE}\n\n"), format!(" {PASSPHRASE}\n")),
    ] {
        let path = file(&directory, "p", &text);
        let config = file(&directory, "c.toml", &format!("local_passphrase_file = '{path}'\n"));
        for settings in [
            read(false, &[], &[("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", &path)]),
            read(false, &[("local-passphrase-file", &path)], &[]),
            read(false, &[("config", &config)], &[]),
        ] {
            assert_eq!(settings.unwrap().local_passphrase.unwrap().expose_secret(), wanted);
        }
    }
}

#[test]
fn a_secret_given_twice_in_one_place_is_refused() {
    let vars =
        [("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE), ("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", "/nowhere")];
    assert_eq!(
        sentence(false, &[], &vars),
        "CATALYST_PKI_LOCAL_PASSPHRASE and CATALYST_PKI_LOCAL_PASSPHRASE_FILE are both given (env): give one of them"
    );
}

#[test]
fn short_secrets_are_refused_without_being_shown() {
    let short = sentence(true, &[], &[("CATALYST_PKI_LOCAL_PASSPHRASE", "fifteen chars!!")]);
    assert!(short.contains("fewer than 16 characters") && !short.contains("fifteen"), "{short}");
    let token = [("CATALYST_SYSTEM_TOKEN", "short")];
    assert!(sentence(false, &[], &token).contains("fewer than 32 characters"));
    assert!(read(true, &[], &token).is_ok(), "--dev takes a short token");
}

#[test]
fn what_every_node_knows_is_no_system_token() {
    let secret = "one secret of more than 32 characters for both";
    let both = [("CATALYST_SYSTEM_TOKEN", secret), ("CATALYST_BOOTSTRAP_TOKEN", secret)];
    for dev in [true, false] {
        assert!(sentence(dev, &[], &both).contains("are the same secret"));
    }
    assert!(read(true, &[], &both[1..]).is_ok());
}

#[test]
fn a_settings_file_with_a_secret_must_be_its_owners_alone() {
    let directory = TempDir::new().unwrap();
    let config = file(&directory, "c.toml", &format!("local_passphrase = '{PASSPHRASE}'\n"));
    assert!(read(false, &[("config", &config)], &[]).is_ok());
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(read(false, &[("config", &config)], &[]), Err(SettingsError::FileReadable { .. })));
}

#[test]
fn a_passphrase_beside_the_keys_is_refused_outside_dev() {
    let directory = TempDir::new().unwrap();
    let db = directory.path().join("data/certs.db");
    fs::create_dir_all(directory.path().join("data/keys")).unwrap();
    fs::create_dir_all(directory.path().join("elsewhere")).unwrap();
    let db = db.to_str().unwrap();
    let inside = file(&directory, "data/keys/p", PASSPHRASE);
    let outside = file(&directory, "elsewhere/p", PASSPHRASE);
    let config = file(&directory, "data/c.toml", &format!("local_passphrase = '{PASSPHRASE}'\n"));
    let elsewhere = directory.path().join("elsewhere");
    let keys = elsewhere.to_str().unwrap();
    let vars = |path| [("CATALYST_PKI_CERTS_DB", db), ("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", path)];
    let refused = |result| matches!(result, Err(SettingsError::PassphraseBesideKeys { .. }));
    assert!(refused(read(false, &[], &vars(&inside))));
    assert!(refused(read(false, &[("local-keys", keys)], &vars(&outside))));
    assert!(refused(read(false, &[("config", &config)], &vars("")[..1])));
    assert!(read(false, &[], &vars(&outside)).is_ok());
    assert!(read(true, &[], &vars(&inside)).is_ok());
}

#[test]
fn without_a_passphrase_only_dev_goes_on() {
    let mut settings = read(false, &[], &[]).unwrap();
    let sentence = settings.secure_passphrase().unwrap_err().to_string();
    assert!(
        sentence.contains("CATALYST_PKI_LOCAL_PASSPHRASE_FILE") && sentence.contains("--dev"),
        "{sentence}"
    );
}

#[test]
fn dev_makes_a_passphrase_once_and_keeps_it() {
    let directory = TempDir::new().unwrap();
    let db = directory.path().join("data/certs.db");
    let vars = [("CATALYST_PKI_CERTS_DB", db.to_str().unwrap())];
    let mut first = read(true, &[], &vars).unwrap();
    assert!(!directory.path().join("data").exists(), "reading settings writes nothing");
    let MadePassphrase(path) = first.secure_passphrase().unwrap().unwrap();
    assert_eq!(path, directory.path().join("data/dev-passphrase"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path().join("data")).unwrap().count(), 1, "no draft stays");
    let mut second = read(true, &[], &vars).unwrap();
    assert_eq!(second.secure_passphrase().unwrap(), None);
    let [first, second] = [first, second].map(|settings| settings.local_passphrase.unwrap());
    assert_eq!(first.expose_secret(), second.expose_secret());
    assert!(first.expose_secret().len() >= 32);
}

#[test]
fn dev_makes_no_passphrase_for_keys_that_have_another() {
    let directory = TempDir::new().unwrap();
    let db = directory.path().join("certs.db");
    fs::create_dir(directory.path().join("keys")).unwrap();
    file(&directory, "keys/root-1.pem", "x");
    let mut settings = read(true, &[], &[("CATALYST_PKI_CERTS_DB", db.to_str().unwrap())]).unwrap();
    assert!(matches!(settings.secure_passphrase(), Err(SettingsError::DevPassphraseLost { .. })));
}

#[test]
fn no_secret_is_in_any_report_or_debug_output() {
    let vars = [
        ("CATALYST_PKI_LOCAL_PASSPHRASE", PASSPHRASE),
        ("CATALYST_SYSTEM_TOKEN", "0123456789abcdef0123456789abcdef"),
    ];
    let inputs = inputs(false, &[], &vars);
    let settings = Settings::read(&table(), &inputs).unwrap();
    let shown = [
        text(&table(), &settings.values),
        json(&table(), &settings.values).to_string(),
        format!("{settings:?}{inputs:?}"),
    ];
    for text in &shown {
        assert!(!text.contains("horse") && !text.contains("0123456789abcdef"), "{text}");
    }
    assert!(shown[0].contains("CATALYST_PKI_LOCAL_PASSPHRASE "), "{}", shown[0]);
    assert!(shown[0].lines().any(|line| line.contains("[redacted]") && line.ends_with("env")));
}

#[test]
#[cfg(feature = "pkcs11")]
fn the_documentation_is_what_the_table_says() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md")).unwrap();
    assert!(
        page == markdown(&crate::key_stores::Kinds::of_this_build().table()),
        "docs/settings.md is out of date: run 'cargo run -- config --output markdown > docs/settings.md'"
    );
}
