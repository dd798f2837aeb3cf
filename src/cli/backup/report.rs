//! `catalyst backup verify --report-to`: the service learns that a backup of it holds.

use super::super::{arguments::Access, session};
use crate::{
    api::{VerifiedBackupNoted, VerifiedBackupReport},
    backup::Opened,
    client::{Client, Options, Result, ServiceUrl, Trust as Pin},
    identity::{Fingerprint, hex},
};

/// How to reach it; looked at before the backup is. Over HTTPS, unless another pin is given, it is the service of the
/// root that must have signed the backup.
pub(super) fn service(access: Access, root: Option<Fingerprint>) -> Result<Options> {
    let is_tls = access.url.as_deref().unwrap_or_default().parse::<ServiceUrl>()?.is_tls();
    let mut options = session::options(access)?;
    if let (true, Pin::Nothing, Some(root)) = (is_tls, &options.trust, root) {
        options.trust = Pin::Root(root);
    }
    Ok(options)
}

pub(super) async fn report(service: Options, opened: &Opened) -> Result<()> {
    let client = Client::open(service).await?;
    let report = VerifiedBackupReport {
        manifest_sha256: hex(&opened.manifest_sha256),
        created_at: opened.manifest.created_at.to_string(),
        deployment: opened.manifest.store.deployment.clone(),
    };
    client.post::<VerifiedBackupNoted>("/pki/backups/verified", &report).await.map(drop)
}
