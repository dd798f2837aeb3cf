//! The table of endpoints: what policy is asked before each is served.

use crate::access::Action;
use std::fmt::Write as _;

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// HTTP method.
    pub method: &'static str,
    /// Path, with parameters in braces.
    pub path: &'static str,
    /// The methods of the RPC interface that do the same, as in `pki.signCsr`.
    pub rpc: &'static [&'static str],
    /// What policy is asked; `None` where nothing is ([`Target::Nothing`]), or what the request names
    /// ([`Target::Named`]).
    pub action: Option<Action>,
    /// Of what it is asked.
    pub target: Target,
    /// It answers or takes a secret: refused where that could be read on the way.
    pub is_secret: bool,
    /// What it does, in one line.
    pub help: &'static str,
}

/// Of which resource policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Of nothing: it is public.
    Nothing,
    /// The whole deployment, with empty ids.
    Whole,
    /// This service's own node: its instance id, and the domain that it lies in.
    Own,
    /// The identity that the request names.
    IdentityAsked,
    /// The identity of `?spiffeId=`; without it, the whole deployment.
    IdentityFiltered,
    /// The identity that the certificate was issued to.
    IdentityRecorded,
    /// The instance that owns the DNS name.
    NameOwner,
    /// The node that the request names, and so the action.
    Named,
}

impl Target {
    /// As the documentation says it.
    fn text(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Whole => "the deployment",
            Self::Own => "the service's own node",
            Self::IdentityAsked => "the identity asked for",
            Self::IdentityFiltered => "the identity in `spiffeId`, else the deployment",
            Self::IdentityRecorded => "the certificate's identity",
            Self::NameOwner => "the name's owner",
            Self::Named => "the node named in the request",
        }
    }
}

impl Endpoint {
    /// Whether its request brings a CSR.
    pub fn takes_csr(&self) -> bool {
        self.action == Some(Action::CertSign)
    }
}

const fn public(path: &'static str, help: &'static str) -> Endpoint {
    Endpoint { method: "GET", path, rpc: &[], action: None, target: Target::Nothing, is_secret: false, help }
}

const fn get(path: &'static str, action: Action, target: Target, help: &'static str) -> Endpoint {
    Endpoint { method: "GET", path, rpc: &[], action: Some(action), target, is_secret: false, help }
}

const fn post(path: &'static str, action: Action, target: Target, help: &'static str) -> Endpoint {
    Endpoint { method: "POST", ..get(path, action, target, help) }
}

const fn secret(endpoint: Endpoint) -> Endpoint {
    Endpoint { is_secret: true, ..endpoint }
}

impl Endpoint {
    const fn as_rpc(self, methods: &'static [&'static str]) -> Self {
        Self { rpc: methods, ..self }
    }
}

/// Every endpoint.
pub const ENDPOINTS: &[Endpoint] = &[
    public("/health", "whether the process lives"),
    public("/ready", "whether it serves and signs"),
    public("/metrics", "metrics"),
    public("/openapi.json", "description of the HTTP interface"),
    public("/pki/ca/bundle", "CA certificates").as_rpc(&["pki.getCaBundle"]),
    public("/pki/crl", "all CRLs"),
    public("/pki/crl/{ca}", "one CRL"),
    public("/.well-known/jwks.json", "keys that sign tokens").as_rpc(&["validation.getJWKS"]),
    public("/.well-known/spiffe-bundle", "SPIFFE trust bundle"),
    post("/pki/csr/sign", Action::CertSign, Target::IdentityAsked, "sign a CSR").as_rpc(&["pki.signCsr"]),
    secret(post("/pki/keypair", Action::CertGenerate, Target::IdentityAsked, "make a key and a certificate")),
    get("/pki/certificates", Action::CertList, Target::IdentityFiltered, "list certificates")
        .as_rpc(&["pki.listCertificates"]),
    get("/pki/certificates/{id}", Action::CertList, Target::IdentityRecorded, "show a certificate"),
    get("/pki/export/certificates", Action::CertList, Target::IdentityFiltered, "export certificates"),
    post(
        "/pki/certificates/{id}/revoke",
        Action::CertRevoke,
        Target::IdentityRecorded,
        "revoke a certificate",
    ),
    post("/pki/certificates/purge", Action::CertPurge, Target::Whole, "delete expired certificates")
        .as_rpc(&["pki.purgeExpired"]),
    post("/pki/identities/deny", Action::IdentityDeny, Target::IdentityAsked, "deny an identity")
        .as_rpc(&["pki.denyIdentity"]),
    post("/pki/identities/allow", Action::IdentityAllow, Target::IdentityAsked, "lift a denial")
        .as_rpc(&["pki.allowIdentity"]),
    get("/pki/identities/denied", Action::IdentityList, Target::Whole, "show the deny list")
        .as_rpc(&["pki.listDenied"]),
    post("/pki/identities/release", Action::IdentityRelease, Target::NameOwner, "give a DNS name free"),
    secret(post("/pki/initialize", Action::CaManage, Target::Whole, "make the hierarchy"))
        .as_rpc(&["pki.initialize"]),
    post("/pki/intermediary", Action::CaManage, Target::Whole, "make a further intermediate CA"),
    get("/pki/status", Action::CaRead, Target::Whole, "show how the CA is").as_rpc(&["pki.getStatus"]),
    get("/pki/ca", Action::CaRead, Target::Whole, "list all CAs"),
    post("/pki/ca/{ski}/activate", Action::CaManage, Target::Whole, "let a CA issue"),
    post("/pki/ca/{ski}/retire", Action::CaManage, Target::Whole, "take a CA out of the bundles"),
    post("/pki/ca/{ski}/revoke", Action::CaManage, Target::Whole, "revoke a CA"),
    post("/pki/ca/{ski}/repin", Action::CaManage, Target::Whole, "move a CA's pin to where its key is now"),
    post(
        "/pki/recovery/confirm",
        Action::CaManage,
        Target::Whole,
        "issue again after a restore: the instance of before is gone",
    )
    .as_rpc(&["pki.confirmRecovery"]),
    get("/pki/keys/unclaimed", Action::CaManage, Target::Whole, "look for keys that belong to no CA"),
    post("/pki/backends/retry", Action::CaManage, Target::Whole, "try keys that are down or refused again"),
    post(
        "/pki/backups/verified",
        Action::BackupManage,
        Target::Whole,
        "say that a backup was wholly verified",
    ),
    get("/pki/audit", Action::AuditRead, Target::Whole, "read the audit log"),
    get("/pki/audit/verify", Action::AuditRead, Target::Whole, "verify the audit log"),
    secret(post("/auth/tokens", Action::TokenCreate, Target::Own, "mint a token")).as_rpc(&["tokens.create"]),
    get("/auth/tokens", Action::TokenList, Target::Own, "list tokens")
        .as_rpc(&["tokens.list", "certs.getTokensByCert"]),
    get("/auth/tokens/revoked", Action::CheckPermissions, Target::Own, "list revoked tokens, for validators")
        .as_rpc(&["validation.getRevocationList"]),
    post("/auth/tokens/revoke", Action::TokenRevoke, Target::Own, "revoke tokens").as_rpc(&["tokens.revoke"]),
    post("/auth/tokens/verify", Action::CheckPermissions, Target::Own, "ask whether a token is good")
        .as_rpc(&["validation.validate"]),
    Endpoint {
        method: "POST",
        path: "/auth/authorize",
        rpc: &["permissions.authorizeAction"],
        action: None,
        target: Target::Named,
        is_secret: false,
        help: "ask whether one's own token allows an action",
    },
    get("/auth/keys", Action::CheckPermissions, Target::Own, "list token signing keys")
        .as_rpc(&["certs.list"]),
    secret(post("/auth/keys/rotate", Action::KeyRotate, Target::Whole, "rotate the token signing key"))
        .as_rpc(&["certs.rotate"]),
];

/// The endpoint of a route, by its method and its path with parameters in braces.
pub(super) fn endpoint(method: &str, path: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.method == method && endpoint.path == path)
}

/// The endpoint that a method of the RPC interface stands for.
pub(super) fn endpoint_of_rpc(method: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.rpc.contains(&method))
}

/// The table of `docs/access.md`.
pub fn endpoints_markdown() -> String {
    let mut table =
        String::from("| endpoint | what it does | action | resource |\n| --- | --- | --- | --- |\n");
    for endpoint in ENDPOINTS {
        let rpc: String = endpoint.rpc.iter().map(|method| format!(", `{method}`")).collect();
        let (action, resource) = match endpoint.action {
            Some(action) => {
                (format!("`{action}`"), format!("`{}` of {}", action.resource_kind(), endpoint.target.text()))
            }
            None if endpoint.target == Target::Named => {
                ("the one named in the request".to_owned(), endpoint.target.text().to_owned())
            }
            None => ("public".to_owned(), String::new()),
        };
        let Endpoint { method, path, help, .. } = endpoint;
        // Writing to a String fails on nothing.
        let _ = writeln!(table, "| `{method} {path}`{rpc} | {help} | {action} | {resource} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::ResourceKind;
    use serde_json::Value;
    use std::{collections::BTreeSet, fs};

    fn described() -> BTreeSet<(String, String)> {
        let document: Value = serde_json::from_str(crate::server::openapi_document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let methods = |(path, methods): (&String, &Value)| {
            let methods: Vec<_> =
                methods.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
            methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(methods).collect()
    }

    fn listed() -> BTreeSet<(String, String)> {
        ENDPOINTS.iter().map(|endpoint| (endpoint.method.to_owned(), endpoint.path.to_owned())).collect()
    }

    #[test]
    fn the_table_has_every_endpoint_once() {
        assert_eq!(listed().len(), ENDPOINTS.len());
        assert_eq!(listed(), described());
    }

    /// That the schema lets each action apply to its kind of resource is tested beside the schema.
    #[test]
    fn the_resource_is_of_the_actions_kind() {
        for endpoint in ENDPOINTS {
            let Some(action) = endpoint.action else {
                assert!(matches!(endpoint.target, Target::Nothing | Target::Named), "{endpoint:?}");
                continue;
            };
            let kind = action.resource_kind();
            let fits = match endpoint.target {
                Target::Nothing | Target::Named => false,
                Target::Whole => !matches!(kind, ResourceKind::AdminPanel | ResourceKind::Token),
                Target::Own => matches!(kind, ResourceKind::AdminPanel | ResourceKind::Token),
                Target::IdentityAsked
                | Target::IdentityFiltered
                | Target::IdentityRecorded
                | Target::NameOwner => kind == ResourceKind::Certificate,
            };
            assert!(fits, "{endpoint:?}");
        }
    }

    #[test]
    fn what_changes_something_is_no_read_and_never_public() {
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method != "GET") {
            assert_ne!(endpoint.target, Target::Nothing, "{endpoint:?}");
            assert_ne!(endpoint.action, Some(Action::CaRead), "{endpoint:?}");
        }
    }

    #[test]
    fn the_documentation_has_this_table() {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md")).unwrap();
        let (_, rest) = page.split_once("<!-- endpoints -->\n\n").unwrap();
        let (table, _) = rest.split_once("\n<!-- /endpoints -->").unwrap();
        let wanted = endpoints_markdown();
        assert!(table == wanted, "docs/access.md is out of date, it should have:\n{wanted}");
    }
}
