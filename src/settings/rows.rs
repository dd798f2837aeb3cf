//! Every setting of the service, in the order in which people read them.

use super::{
    setting::{Fallback, Kind, Setting},
    values,
};

pub(super) const ALGORITHMS: &[&str] = &[
    "EC-P384",
    "EC-P256",
    "RSA-3072",
    "RSA-4096",
    "RSA-3072-PSS",
    "RSA-4096-PSS",
    "ED25519",
    "ML-DSA-65",
    "ML-DSA-87",
];

const TOKEN: Kind = Kind::Secret { min_chars: 32, short_in_dev: true };

const NOTHING: Fallback = Fallback::Unset("nothing");

/// A setting of the deployed estate that this service accepts, because one environment serves several programs.
const fn accepted(variable: &'static str, kind: Kind, fallback: Fallback, help: &'static str) -> Setting {
    Setting { variable, flag: None, key: None, kind, fallback, dev: None, help }
}

const fn role_backend(
    variable: &'static str,
    flag: &'static str,
    key: &'static str,
    help: &'static str,
) -> Setting {
    let fallback = Fallback::Derived {
        from: "CATALYST_PKI_KEY_BACKEND",
        make: str::to_owned,
        text: "that of `CATALYST_PKI_KEY_BACKEND`",
    };
    Setting { variable, flag: Some(flag), key: Some(key), kind: Kind::Backend, fallback, dev: None, help }
}

/// All of them.
pub(super) const SERVICE: &[Setting] = &[
    Setting {
        variable: "CATALYST_PKI_CONFIG",
        flag: Some("config"),
        key: None,
        kind: Kind::Path,
        fallback: Fallback::Unset("no file is read"),
        dev: None,
        help: "Settings file (TOML) with the keys of this table",
    },
    Setting {
        variable: "CATALYST_PKI_TRUST_DOMAIN",
        flag: Some("trust-domain"),
        key: Some("trust_domain"),
        kind: Kind::TrustDomain,
        fallback: Fallback::Value("catalyst.example.com"),
        dev: None,
        help: "SPIFFE trust domain; stored when the CA is made, and fixed from then on",
    },
    Setting {
        variable: "CATALYST_PKI_SVID_TTL",
        flag: Some("svid-ttl"),
        key: Some("svid_ttl"),
        kind: Kind::Number { min: 1, max: 86_400, unit: "seconds" },
        fallback: Fallback::Value("3600"),
        dev: Some("86400"),
        help: "Lifetime in seconds of a certificate whose request names none, 24 hours at most",
    },
    Setting {
        variable: "CATALYST_PKI_CERTS_DB",
        flag: Some("certs-db"),
        key: Some("certs_db"),
        kind: Kind::Path,
        fallback: Fallback::Value("certs.db"),
        dev: None,
        help: "Certificate store (SQLite); the directory that holds it is the data directory",
    },
    Setting {
        variable: "CATALYST_PKI_KEY_BACKEND",
        flag: Some("key-backend"),
        key: Some("key_backend"),
        kind: Kind::Backend,
        fallback: Fallback::Value("local"),
        dev: None,
        help: "Key store in which keys are made from now on",
    },
    role_backend(
        "CATALYST_PKI_KEY_BACKEND_ROOT",
        "key-backend-root",
        "key_backend_root",
        "Key store of the next root CA key",
    ),
    role_backend(
        "CATALYST_PKI_KEY_BACKEND_SERVICES",
        "key-backend-services",
        "key_backend_services",
        "Key store of the next services CA key",
    ),
    role_backend(
        "CATALYST_PKI_KEY_BACKEND_TRANSPORT",
        "key-backend-transport",
        "key_backend_transport",
        "Key store of the next transport CA key",
    ),
    role_backend(
        "CATALYST_PKI_KEY_BACKEND_TOKENS",
        "key-backend-tokens",
        "key_backend_tokens",
        "Key store of the next token signing key",
    ),
    Setting {
        variable: "CATALYST_PKI_ROOT_CREDENTIALS",
        flag: Some("root-credentials"),
        key: Some("root_credentials"),
        kind: Kind::Checked {
            check: values::root_credentials,
            accepts: "path with a `/`, such as `./root.pin`; ARN of a role; `profile/<name>`",
        },
        fallback: Fallback::Unset("those of its key store"),
        dev: None,
        help: "What opens the root CA's key store, for the one operation: of `pkcs11` the path of a file with the PIN of a token that holds no other role's keys, of `aws-kms` a role to assume or a profile that no other key store uses",
    },
    Setting {
        variable: "CATALYST_PKI_ALGORITHM",
        flag: Some("algorithm"),
        key: Some("algorithm"),
        kind: Kind::OneOf(ALGORITHMS),
        fallback: Fallback::Value("EC-P384"),
        dev: None,
        help: "Algorithm of CA keys made from now on; a CA keeps the one it was made with",
    },
    Setting {
        variable: "CATALYST_PKI_LOCAL_KEYS",
        flag: Some("local-keys"),
        key: Some("local_keys"),
        kind: Kind::Path,
        fallback: Fallback::Derived {
            from: "CATALYST_PKI_CERTS_DB",
            make: keys_beside,
            text: "`keys` in the data directory",
        },
        dev: None,
        help: "Directory of the encrypted key files of the key store `local`",
    },
    Setting {
        variable: "CATALYST_PKI_LOCAL_PASSPHRASE",
        flag: Some("local-passphrase-file"),
        key: Some("local_passphrase"),
        kind: Kind::Secret { min_chars: 16, short_in_dev: false },
        fallback: Fallback::Unset("the key store `local` cannot be used; with `--dev` one is made"),
        dev: None,
        help: "Passphrase of the key files of `local`; its file must lie outside the data and key directories",
    },
    Setting {
        variable: "CATALYST_PKI_LISTEN",
        flag: Some("listen"),
        key: Some("listen"),
        kind: Kind::Address,
        fallback: Fallback::Value("127.0.0.1:4020"),
        dev: None,
        help: "Address of the service; port 0 takes a free one, which the log names",
    },
    Setting {
        variable: "CATALYST_PKI_PUBLIC_LISTEN",
        flag: Some("public-listen"),
        key: Some("public_listen"),
        kind: Kind::Address,
        fallback: Fallback::Unset("no second listener"),
        dev: None,
        help: "Address of a second listener that serves the read-only endpoints alone",
    },
    Setting {
        variable: "CATALYST_PKI_TLS",
        flag: Some("tls"),
        key: Some("tls"),
        kind: Kind::OneOf(&["auto", "always"]),
        fallback: Fallback::Value("auto"),
        dev: None,
        help: "Where HTTPS is spoken: `auto` on addresses beyond loopback, `always` on loopback too; clients on this machine are served plain HTTP as well",
    },
    Setting {
        variable: "CATALYST_PKI_TLS_CERT",
        flag: Some("tls-cert"),
        key: Some("tls_cert"),
        kind: Kind::Path,
        fallback: Fallback::Unset("the service's own SVID; a self-signed one until that can be had"),
        dev: None,
        help: "Certificate of the service and its chain (PEM), read again when it changes; needs `CATALYST_PKI_TLS_KEY`",
    },
    Setting {
        variable: "CATALYST_PKI_TLS_KEY",
        flag: Some("tls-key"),
        key: Some("tls_key"),
        kind: Kind::Path,
        fallback: Fallback::Unset("none"),
        dev: None,
        help: "Private key of `CATALYST_PKI_TLS_CERT` (PEM, unencrypted, not readable by others)",
    },
    Setting {
        variable: "CATALYST_PKI_TLS_NAMES",
        flag: Some("tls-names"),
        key: Some("tls_names"),
        kind: Kind::HostNames,
        fallback: Fallback::Unset("the instance id and `auth`"),
        dev: None,
        help: "More names and IP addresses in the service's own SVID and its self-signed certificate, and in no other",
    },
    Setting {
        variable: "CATALYST_PKI_INSECURE_HTTP",
        flag: Some("insecure-http"),
        key: Some("insecure_http"),
        kind: Kind::Bool,
        fallback: Fallback::Value("false"),
        dev: None,
        help: "Serve plain HTTP to other machines too: what they send and get can be read on the way",
    },
    Setting {
        variable: "CATALYST_PKI_ISSUE_LIMIT",
        flag: Some("issue-limit"),
        key: Some("issue_limit"),
        kind: Kind::Number { min: 0, max: 1_000_000, unit: "certificates" },
        fallback: Fallback::Value("10"),
        dev: Some("0"),
        help: "Certificates that one SPIFFE ID gets per half of its certificates' lifetime; 0 is no limit",
    },
    Setting {
        variable: "CATALYST_PKI_ALLOWED_ORIGINS",
        flag: Some("allowed-origins"),
        key: Some("allowed_origins"),
        kind: Kind::List,
        fallback: NOTHING,
        dev: None,
        help: "Web origins whose pages may call this service; requests of all others are refused",
    },
    Setting {
        variable: "CATALYST_PKI_DNS_NAMES",
        flag: Some("dns-names"),
        key: Some("dns_names"),
        kind: Kind::DnsNames,
        fallback: Fallback::Unset("the instance id and the aliases of its type"),
        dev: None,
        help: "More DNS names that a service type may ask for: `<type>=<pattern>`, with `{instance}`, `{short}` or a leftmost `*`",
    },
    Setting {
        variable: "CATALYST_PKI_LOG_FORMAT",
        flag: Some("log-format"),
        key: Some("log_format"),
        kind: Kind::OneOf(&["json", "pretty"]),
        fallback: Fallback::Value("json"),
        dev: Some("pretty"),
        help: "Form of the log on standard error: one JSON object a line, or lines for people",
    },
    Setting {
        variable: "CATALYST_PKI_LOG_LEVEL",
        flag: Some("log-level"),
        key: Some("log_level"),
        kind: Kind::OneOf(&["debug", "info", "warn", "error"]),
        fallback: Fallback::Value("info"),
        dev: None,
        help: "Least level that is logged",
    },
    Setting {
        variable: "CATALYST_SYSTEM_TOKEN",
        flag: Some("system-token-file"),
        key: Some("system_token"),
        kind: TOKEN,
        fallback: Fallback::Unset("one is made and kept in the data directory"),
        dev: None,
        help: "System token chosen by the operator, 32 characters or more outside `--dev`",
    },
    Setting {
        variable: "CATALYST_NODE_ID",
        flag: Some("node-id"),
        key: Some("node_id"),
        kind: Kind::Text,
        fallback: Fallback::Unset("the host name in lower case where it is valid, else `auth-1`"),
        dev: None,
        help: "Instance id of this service, which is `auth/<it>` in its trust domain",
    },
    Setting {
        variable: "CATALYST_DOMAINS",
        flag: Some("domains"),
        key: Some("domains"),
        kind: Kind::List,
        fallback: Fallback::Unset("none"),
        dev: None,
        help: "DNS domains of this deployment, separated by commas",
    },
    Setting {
        variable: "CATALYST_POLICY_DIR",
        flag: Some("policy-dir"),
        key: Some("policy_dir"),
        kind: Kind::Path,
        fallback: Fallback::Unset("the policies of the program hold"),
        dev: None,
        help: "Directory of `*.cedar` files that replace the program's policies; read again while the service runs",
    },
    accepted("CATALYST_PEERING_ENDPOINT", Kind::Text, NOTHING, "Accepted; other programs of the node use it"),
    accepted(
        "CATALYST_PKI_AUTO_RENEW",
        Kind::Bool,
        Fallback::Value("true"),
        "Accepted; programs that renew their certificates use it",
    ),
    accepted(
        "CATALYST_PEER_AUTH_MODE",
        Kind::OneOf(&["secret", "mtls", "both"]),
        Fallback::Value("secret"),
        "Accepted; peers use it",
    ),
    accepted(
        "CATALYST_BOOTSTRAP_TOKEN",
        TOKEN,
        NOTHING,
        "First credential of new services, known to them and to this service; 32 characters or more outside `--dev`",
    ),
    accepted(
        "CATALYST_BOOTSTRAP_TTL",
        Kind::Number { min: 1, max: 31_536_000_000, unit: "milliseconds" },
        Fallback::Value("86400000"),
        "Lifetime of bootstrap credentials in milliseconds; that of the preshared one runs from when it was first seen",
    ),
    accepted(
        "CATALYST_AUTH_URL",
        Kind::Text,
        Fallback::Value("ws://localhost:4020/rpc"),
        "Accepted; programs that call this service use it",
    ),
    accepted(
        "CATALYST_AUTH_TOKEN",
        Kind::Secret { min_chars: 1, short_in_dev: true },
        NOTHING,
        "Accepted; programs that call this service use it",
    ),
];

fn keys_beside(certs_db: &str) -> String {
    super::data_dir_of(certs_db.as_ref()).join("keys").to_string_lossy().into_owned()
}
