//! Who asks: reading what files, environment and metadata server say.

use crate::{Credentials, GcpKmsConfig, Opening};
use google_cloud_auth::{
    build_errors::Error as BuildError,
    credentials::{
        self as google, Builder, CacheableResource, CredentialsProvider, external_account, impersonated,
        service_account, user_account,
    },
    errors::CredentialsError,
};
use http::{Extensions, HeaderMap};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};
use tokio::time::timeout;

/// All that an impersonated account is used for (OAuth 2.0).
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";
/// How long a token of the root's account is good for: it is wanted for one operation.
const BRIEFLY: Duration = Duration::from_secs(300);

/// Why there are none: a sentence.
type Unreadable = String;

/// A way to credentials.
pub(crate) type Load = fn(&GcpKmsConfig) -> Result<google::Credentials, Unreadable>;

/// The credentials of an account of ours. Tokens are fetched by the first call, and again before they expire.
pub(super) fn load(config: &GcpKmsConfig) -> Result<google::Credentials, Unreadable> {
    let (file, account) = match &config.credentials {
        Credentials::Default => (None, None),
        Credentials::File(path) => (Some(path), None),
        Credentials::Impersonated { account, file } => (file.as_ref(), Some(account)),
    };
    let own = match file {
        Some(path) => of_file(path)?,
        None => Builder::default().build().map_err(|error| format!("{error}"))?,
    };
    let credentials = match account {
        None => own,
        Some(account) => {
            let mut builder = impersonated::Builder::from_source_credentials(own)
                .with_target_principal(account)
                .with_scopes([SCOPE]);
            if config.opening == Opening::WhileInUse {
                builder = builder.with_lifetime(BRIEFLY);
            }
            builder.build().map_err(|error| format!("{error}"))?
        }
    };
    // What is late has its right name: less time than the call that waits for it.
    Ok(Timely { credentials, limit: config.call_timeout.mul_f64(0.8) }.into())
}

fn of_file(path: &Path) -> Result<google::Credentials, Unreadable> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    // The parser's own words could repeat a key.
    let json: Value = serde_json::from_str(&text).map_err(|_| format!("{name} is no JSON"))?;
    let kind = json["type"].as_str().unwrap_or_default().to_owned();
    let built: Result<_, BuildError> = match kind.as_str() {
        "service_account" => service_account::Builder::new(json).build(),
        "external_account" => external_account::Builder::new(json).build(),
        "impersonated_service_account" => impersonated::Builder::new(json).build(),
        "authorized_user" => user_account::Builder::new(json).build(),
        _ => {
            return Err(format!(
                "{name} is no credentials file of Google's: its type must be service_account, external_account, \
                 impersonated_service_account or authorized_user"
            ));
        }
    };
    built.map_err(|error| format!("{name} cannot be used: {error}"))
}

/// Credentials that come within a limit, or not at all.
#[derive(Debug)]
struct Timely {
    credentials: google::Credentials,
    limit: Duration,
}

impl CredentialsProvider for Timely {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let late = |_| Err(CredentialsError::from_msg(true, "no token came in time"));
        timeout(self.limit, self.credentials.headers(extensions)).await.unwrap_or_else(late)
    }

    async fn universe_domain(&self) -> Option<String> {
        timeout(self.limit, self.credentials.universe_domain()).await.ok().flatten()
    }
}
