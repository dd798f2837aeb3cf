//! Who asks: reading what files, environment and metadata server say.

use crate::{Credentials, GcpKmsConfig, Opening, trouble::Late};
use futures_util::FutureExt;
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
use std::{fmt, fs, panic::AssertUnwindSafe, path::Path, time::Duration};
use tokio::time::timeout;

/// All that an impersonated account is used for (OAuth 2.0).
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";
/// How long a token of the root's account is good for: it is wanted for one operation.
const BRIEFLY: Duration = Duration::from_secs(300);

/// Why there are none: a sentence.
type Unreadable = String;

/// A way to credentials.
pub(crate) type Load = fn(&GcpKmsConfig) -> Result<google::Credentials, Unreadable>;

/// The credentials of an account of ours. Reads files, and must be called within a Tokio runtime: the SDK fetches tokens in
/// a task of its own, at once and again four minutes before they expire.
///
/// That task finds out that nobody needs its token any more when it wakes for the next, and holds the token and what it
/// was fetched with until then: up to an hour, of an impersonated account that is opened for one operation a minute.
pub(super) fn load(config: &GcpKmsConfig) -> Result<google::Credentials, Unreadable> {
    let (file, account) = match &config.credentials {
        Credentials::Default => (None, None),
        Credentials::File(path) => (Some(path), None),
        Credentials::Impersonated { account, file } => (file.as_ref(), Some(account)),
    };
    let own = match file {
        Some(path) => of_file(path)?,
        None => Builder::default().build().map_err(|error| told(&error))?,
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
            builder.build().map_err(|error| told(&error))?
        }
    };
    Ok(watched(credentials, config))
}

/// The same within the time of a call, and without a panic.
pub(crate) fn watched(credentials: google::Credentials, config: &GcpKmsConfig) -> google::Credentials {
    Watched { credentials, call: config.call_timeout }.into()
}

fn of_file(path: &Path) -> Result<google::Credentials, Unreadable> {
    let json = read(path)?;
    let name = path.display();
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
    built.map_err(|error| format!("{name}: {}", told(&error)))
}

/// A credentials file. Nothing but a file is read: what is not written yet would keep its reader waiting.
fn read(path: &Path) -> Result<Value, Unreadable> {
    let name = path.display();
    let unreadable = |error| format!("{name} cannot be read: {error}");
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("{name} is no file"));
    }
    let text = fs::read(path).map_err(unreadable)?;
    // The parser's own words could repeat a key.
    serde_json::from_slice(&text).map_err(|_| format!("{name} is no JSON, or not the whole of it"))
}

/// The service account of a credentials file, where the file names one.
pub(crate) fn account_of(path: &Path) -> Option<String> {
    let json = read(path).ok()?;
    let url = json["service_account_impersonation_url"].as_str();
    let impersonated = url.and_then(|url| url.rsplit('/').next()?.split(':').next());
    impersonated.or(json["client_email"].as_str()).map(str::to_owned)
}

/// Why no credentials can be made, without what stands in their file: the parser's own words could repeat it.
fn told(error: &BuildError) -> String {
    if error.is_loading() {
        return error.to_string();
    }
    let words = error.to_string();
    match words.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`')) {
        Some((field, _)) => format!("the field {field} is missing in the credentials file"),
        None => "the credentials file is no whole one of Google's: have it made again".into(),
    }
}

/// Credentials that come within the time of the call that waits for them, or not at all: what is late has its right name.
/// The SDK goes on fetching a token that is late, and a later call has it.
struct Watched {
    credentials: google::Credentials,
    /// How long one call may take, which asks for both of the following when it is the first.
    call: Duration,
}

impl fmt::Debug for Watched {
    /// The SDK's own shows the answers of those who refused a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("call", &self.call).finish_non_exhaustive()
    }
}

impl CredentialsProvider for Watched {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        // The SDK panics at a token whose end is in the past or too far in the future, and so do those who wait for it.
        let headers = AssertUnwindSafe(self.credentials.headers(extensions)).catch_unwind();
        match timeout(self.call.mul_f64(0.5), headers).await {
            Ok(Ok(headers)) => headers,
            Ok(Err(_)) => Err(CredentialsError::from_msg(
                true,
                "the token that came cannot be used, for its end is in the past or too far in the future: look at this \
                 host's clock",
            )),
            Err(_) => Err(CredentialsError::from_source(true, Late)),
        }
    }

    async fn universe_domain(&self) -> Option<String> {
        timeout(self.call.mul_f64(0.3), self.credentials.universe_domain()).await.ok().flatten()
    }
}
