//! The client of Cloud KMS, made with the credentials of now.

use super::credentials::{self, Load};
use crate::{
    GcpKmsConfig,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::{Refusal, Result, SignError};
use google_cloud_gax::{client_builder::internal::with_follow_redirects, retry_policy::NeverRetry};
use google_cloud_kms::client::KeyManagementService;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    task::spawn_blocking,
    time::{Instant, timeout},
};

/// How soon after they were read anew because they were not taken credentials may be read anew again.
const REREAD: Duration = Duration::from_secs(5);
/// The same where a token is late: it may still come, and each reading leaves the SDK with one more connection that hangs.
const REREAD_LATE: Duration = Duration::from_secs(60);

/// The client of one way into Cloud KMS. Nothing is read or asked until it is wanted.
#[derive(Debug)]
pub(crate) struct Clients {
    config: GcpKmsConfig,
    load: Load,
    now: Mutex<Now>,
    /// How often an operator asked to try again, in all that came from one.
    retries: Arc<AtomicU64>,
}

/// What is in use until the credentials are read anew.
#[derive(Debug)]
struct Now {
    client: Arc<OnceCell<KeyManagementService>>,
    /// When credentials were last forgotten because they were not taken.
    forgotten: Option<Instant>,
    /// How often an operator had asked to try again when it was begun.
    retries: u64,
}

impl Now {
    fn begin(retries: u64) -> Self {
        Self { client: Arc::default(), forgotten: None, retries }
    }
}

impl Clients {
    pub(crate) fn new(config: GcpKmsConfig) -> Self {
        Self::loading(config, credentials::load)
    }

    /// As [`Clients::new`], with another way to credentials.
    pub(crate) fn loading(config: GcpKmsConfig, load: Load) -> Self {
        Self::begin(config, load, Arc::default())
    }

    /// The same with credentials of its own, read when they are wanted and dropped with it.
    pub(crate) fn fresh(&self) -> Self {
        Self::begin(self.config.clone(), self.load, self.retries.clone())
    }

    fn begin(config: GcpKmsConfig, load: Load, retries: Arc<AtomicU64>) -> Self {
        let now = Mutex::new(Now::begin(retries.load(Relaxed)));
        Self { config, load, now, retries }
    }

    pub(crate) fn config(&self) -> &GcpKmsConfig {
        &self.config
    }

    /// Asks once, within the time that one call may take. Credentials that are not taken are forgotten, so that the next
    /// attempt reads them anew.
    pub(crate) async fn ask<T, F>(
        &self,
        asked: Asked<'_>,
        call: impl FnOnce(KeyManagementService) -> F,
    ) -> std::result::Result<T, Trouble>
    where
        F: Future<Output = google_cloud_gax::Result<T>>,
    {
        let limit = self.config.call_timeout;
        let asking = async { Ok::<_, Trouble>(call(self.client().await?).await) };
        let answer = match timeout(limit, asking).await {
            Ok(answer) => answer?,
            Err(_) => return Err(asked.late(&self.place())),
        };
        answer.map_err(|error| {
            let mut trouble = asked.trouble(&self.place(), &error);
            match trouble.cause {
                Cause::Expired | Cause::Unloaded => self.forget(REREAD),
                Cause::Late => self.forget(REREAD_LATE),
                _ => {}
            }
            if matches!(trouble.cause, Cause::Unloaded | Cause::Late) {
                trouble.error = self.named(trouble.error);
            }
            trouble
        })
    }

    async fn client(&self) -> std::result::Result<KeyManagementService, Trouble> {
        let begun = self.begun();
        let client = begun.get_or_try_init(|| self.make()).await;
        client.cloned().map_err(|error| Trouble { error: self.named(error), cause: Cause::Unloaded })
    }

    async fn make(&self) -> Result<KeyManagementService> {
        let (load, config) = (self.load, self.config.clone());
        // Files are read.
        let loaded = spawn_blocking(move || load(&config)).await;
        let credentials =
            loaded.unwrap_or_else(|_| Err("the SDK could not make them".into())).map_err(|unreadable| {
                let reason = format!("the Google credentials cannot be used: {unreadable}");
                SignError::refused(Refusal::Configuration, reason)
            })?;
        let builder =
            KeyManagementService::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
        // What is to be signed goes nowhere but to the endpoint.
        let mut builder = with_follow_redirects(builder, false);
        if let Some(endpoint) = &self.config.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        builder.build().await.map_err(|error| {
            let reason = format!("the client of Google Cloud KMS cannot be made: {error}");
            SignError::refused(Refusal::Configuration, reason)
        })
    }

    /// An operator wants everything to be tried again: credentials are read anew.
    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Lets credentials and connections go, once the calls under way have ended.
    pub(crate) fn let_go(&self) {
        self.lock().client = Arc::default();
    }

    fn begun(&self) -> Arc<OnceCell<KeyManagementService>> {
        let retries = self.retries.load(Relaxed);
        let mut now = self.lock();
        if now.retries != retries {
            *now = Now::begin(retries);
        }
        now.client.clone()
    }

    /// Has the next call read credentials anew, unless that was done so short a time ago.
    fn forget(&self, pause: Duration) {
        let mut now = self.lock();
        if now.forgotten.is_none_or(|last| last.elapsed() >= pause) {
            now.client = Arc::default();
            now.forgotten = Some(Instant::now());
        }
    }

    /// What is asked, for people: without what stands before an `@`.
    pub(super) fn place(&self) -> String {
        let Some(endpoint) = self.config.endpoint.as_deref() else { return "Google Cloud KMS".to_owned() };
        match endpoint.split_once("://") {
            Some((scheme, rest)) => {
                format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
            }
            None => endpoint.to_owned(),
        }
    }

    /// An error about credentials, with the key store whose they are: the root's may be another's.
    fn named(&self, error: SignError) -> SignError {
        let store = &self.config.name;
        match error {
            SignError::Refused { kind, reason } => SignError::refused(kind, format!("{store}: {reason}")),
            SignError::Transient { kind, reason, retry_after } => {
                SignError::Transient { kind, reason: format!("{store}: {reason}"), retry_after }
            }
            other => other,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
