//! Shapes on the wire: serde and OpenAPI, nothing else. Names never change; fields may be added.

mod audit;
mod backups;
mod cas;
mod certificates;
mod identities;
mod keys;
mod recovery;
mod tokens;

pub use audit::{AuditItem, AuditPage, AuditPoint, AuditVerdict, SignedHead};
pub use backups::{BackupStatus, VerifiedBackupNoted, VerifiedBackupReport};
pub use cas::{
    ActivateRequest, Ca, CaBundle, CaCertificate, InitializeRequest, Initialized, IntermediaryRequest,
    RepinRequest, Status,
};
pub use certificates::{
    CertificateDetail, CertificateItem, CertificatePage, ExportPage, Keypair, KeypairRequest, Purged,
    RevokeRequest, SignCsrRequest, SignedCertificate,
};
pub use identities::{AllowRequest, DeniedIdentity, DenyAnswer, DenyRequest, ExpiringCert, ReleaseRequest};
pub use keys::{RetriedKey, RetriedKeys, RetryRequest, UnclaimedKey, UnclaimedKeys, UnreadKeyStore};
pub use recovery::{ConfirmRecoveryRequest, Recovery, RecoveryConfirmed};
pub use tokens::{
    Authorization, AuthorizeRequest, MintRequest, MintedToken, NodeContext, RevokeTokensRequest,
    RevokedTokens, RotateKeyRequest, RotatedKey, TokenEntity, TokenItem, TokenKeys, TokenPage, TokenVerdict,
    VerifyTokenRequest,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every error's body.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// A sentence for people.
    pub error: String,
    /// A stable word for programs.
    pub code: String,
}

/// Something was done.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Always true.
    pub success: bool,
    /// A CRL that says so is still to be signed.
    pub crl_pending: bool,
    /// It does not stand in the journal of denials yet; missing where it does, or where there is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub journal_pending: bool,
}

/// `GET /ready`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Bundle and CRLs can be served.
    pub ready: bool,
    /// `ok`, or why certificates can't be signed.
    pub signing: String,
}
