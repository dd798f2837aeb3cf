//! The words of authorization: what is done, and to what. Cedar's namespace is `CATALYST`.

use crate::identity::{ServiceType, SpiffeId, Workload};
use std::{fmt, str::FromStr};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$each])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As on the wire and in policies.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or(UnknownWord)
            }
        }
    };
}

/// No word of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a word of the authorization vocabulary")]
pub struct UnknownWord;

words! {
    /// What is done.
    Action {
        /// To sign in.
        Login = "LOGIN",
        /// To administer.
        Manage = "MANAGE",
        /// To open a peering session.
        IbgpConnect = "IBGP_CONNECT",
        /// To close one.
        IbgpDisconnect = "IBGP_DISCONNECT",
        /// To exchange routes over one.
        IbgpUpdate = "IBGP_UPDATE",
        /// To list them.
        IbgpList = "IBGP_LIST",
        /// To add a peer.
        PeerCreate = "PEER_CREATE",
        /// To change one.
        PeerUpdate = "PEER_UPDATE",
        /// To remove one.
        PeerDelete = "PEER_DELETE",
        /// To list them.
        PeerList = "PEER_LIST",
        /// To add a route.
        RouteCreate = "ROUTE_CREATE",
        /// To remove one.
        RouteDelete = "ROUTE_DELETE",
        /// To list them.
        RouteList = "ROUTE_LIST",
        /// To mint a token.
        TokenCreate = "TOKEN_CREATE",
        /// To revoke tokens.
        TokenRevoke = "TOKEN_REVOKE",
        /// To list them.
        TokenList = "TOKEN_LIST",
        /// To configure a gateway.
        GatewayConfigUpdate = "GATEWAY_CONFIG_UPDATE",
        /// To ask whether a token is good and what it allows.
        CheckPermissions = "CHECK_PERMISSIONS",
        /// To have a CSR signed.
        CertSign = "CERT_SIGN",
        /// To have the CA make a key and a certificate for it.
        CertGenerate = "CERT_GENERATE",
        /// To read recorded certificates.
        CertList = "CERT_LIST",
        /// To revoke one.
        CertRevoke = "CERT_REVOKE",
        /// To delete expired ones.
        CertPurge = "CERT_PURGE",
        /// To read the CA's status and its CA certificates.
        CaRead = "CA_READ",
        /// To make, activate, retire and revoke CAs.
        CaManage = "CA_MANAGE",
        /// To put an identity on the deny list.
        IdentityDeny = "IDENTITY_DENY",
        /// To take it off.
        IdentityAllow = "IDENTITY_ALLOW",
        /// To read the deny list.
        IdentityList = "IDENTITY_LIST",
        /// To give a DNS name free.
        IdentityRelease = "IDENTITY_RELEASE",
        /// To rotate them.
        KeyRotate = "KEY_ROTATE",
        /// To read and verify the audit log.
        AuditRead = "AUDIT_READ",
        /// To make and restore backups.
        BackupManage = "BACKUP_MANAGE",
    }
}

words! {
    /// The kinds of resources.
    ResourceKind {
        /// The administration.
        AdminPanel = "AdminPanel",
        /// Peering sessions.
        Ibgp = "IBGP",
        /// A peer.
        Peer = "Peer",
        /// A route.
        Route = "Route",
        /// Tokens.
        Token = "Token",
        /// A gateway.
        Gateway = "Gateway",
        /// An identity's certificates.
        Certificate = "Certificate",
        /// The CAs.
        Ca = "CA",
        /// The audit log.
        Audit = "Audit",
        /// Backups.
        Backup = "Backup",
        /// The token signing keys.
        SigningKey = "SigningKey",
    }
}

words! {
    /// The kinds of principals.
    PrincipalKind {
        /// May do everything in its scope.
        Admin = "ADMIN",
        /// A node.
        Node = "NODE",
        /// Looks after nodes' peerings.
        NodeCustodian = "NODE_CUSTODIAN",
        /// Looks after routes.
        DataCustodian = "DATA_CUSTODIAN",
        /// A person who may sign in.
        User = "USER",
        /// Holds a bootstrap credential.
        Bootstrap = "BOOTSTRAP",
        /// Holds a certificate of this CA.
        Svid = "SVID",
    }
}

impl PrincipalKind {
    /// As on the wire and in tokens.
    pub fn claim(self) -> String {
        format!("CATALYST::{self}")
    }

    /// Takes `CATALYST::ADMIN` and `ADMIN`.
    ///
    /// # Errors
    /// [`UnknownWord`]
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        word.strip_prefix("CATALYST::").unwrap_or(word).parse()
    }
}

impl Action {
    /// What the action is done to.
    pub fn resource_kind(self) -> ResourceKind {
        match self {
            Self::Login | Self::Manage | Self::CheckPermissions => ResourceKind::AdminPanel,
            Self::IbgpConnect | Self::IbgpDisconnect | Self::IbgpUpdate | Self::IbgpList => {
                ResourceKind::Ibgp
            }
            Self::PeerCreate | Self::PeerUpdate | Self::PeerDelete | Self::PeerList => ResourceKind::Peer,
            Self::RouteCreate | Self::RouteDelete | Self::RouteList => ResourceKind::Route,
            Self::TokenCreate | Self::TokenRevoke | Self::TokenList => ResourceKind::Token,
            Self::GatewayConfigUpdate => ResourceKind::Gateway,
            Self::CertSign
            | Self::CertGenerate
            | Self::CertList
            | Self::CertRevoke
            | Self::CertPurge
            | Self::IdentityDeny
            | Self::IdentityAllow
            | Self::IdentityList
            | Self::IdentityRelease => ResourceKind::Certificate,
            Self::CaRead | Self::CaManage => ResourceKind::Ca,
            Self::KeyRotate => ResourceKind::SigningKey,
            Self::AuditRead => ResourceKind::Audit,
            Self::BackupManage => ResourceKind::Backup,
        }
    }
}

/// What an action is done to, as far as policy sees it. Its kind follows from the action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resource {
    /// The node it belongs to; empty for what belongs to the whole deployment, which only a global ADMIN passes.
    pub node_id: String,
    /// The domain it belongs to; empty as above.
    pub domain_id: String,
    /// Of a [`ResourceKind::Certificate`]: whose, where it is one identity's.
    pub spiffe_id: Option<SpiffeId>,
    /// Of a [`ResourceKind::Certificate`]: of which type, `orchestrator`, `envoy/app`, ….
    pub service_type: Option<&'static str>,
}

impl Resource {
    /// What belongs to the whole deployment.
    pub fn whole() -> Self {
        Self::default()
    }

    /// The certificates of one identity. Its domain is the longest of `domains` that the instance id ends in. An
    /// `auth` identity belongs to the whole deployment.
    pub fn certificates_of(workload: &Workload, domains: &[String]) -> Self {
        let node_id = workload.instance_id().as_str();
        let service_type = workload.service_type();
        let identity = Self {
            spiffe_id: Some(workload.spiffe_id().clone()),
            service_type: Some(service_type.as_str()),
            ..Self::default()
        };
        if service_type == ServiceType::Auth {
            return identity;
        }
        Self { domain_id: domain_of(node_id, domains), node_id: node_id.to_owned(), ..identity }
    }

    /// What belongs to one node.
    pub fn of_node(node_id: &str, domains: &[String]) -> Self {
        Self { domain_id: domain_of(node_id, domains), node_id: node_id.to_owned(), ..Self::default() }
    }
}

/// The longest of the domains that a node's id lies in (label by label); none is the empty text.
fn domain_of(node_id: &str, domains: &[String]) -> String {
    let lies_in = |domain: &&String| {
        node_id.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    domains.iter().filter(lies_in).max_by_key(|domain| domain.len()).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_the_longest_that_the_node_lies_in() {
        let domains = ["example.org".to_owned(), "b.example.org".to_owned(), "other.org".to_owned()];
        assert_eq!(domain_of("n.b.example.org", &domains), "b.example.org");
        assert_eq!(domain_of("nb.example.org", &domains), "example.org");
        assert_eq!(domain_of("example.org", &domains), "example.org");
        assert_eq!(domain_of("badexample.org", &domains), "");
        assert_eq!(domain_of("n", &[]), "");
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert_eq!(PrincipalKind::parse("CATALYST::NODE"), Ok(PrincipalKind::Node));
        assert_eq!(PrincipalKind::parse("NODE"), Ok(PrincipalKind::Node));
        assert!(PrincipalKind::parse("node").is_err());
        assert!(PrincipalKind::parse("CATALYST::CATALYST::NODE").is_err());
    }
}
