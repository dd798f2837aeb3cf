//! The client of Cloud KMS, made with the credentials of now.

use super::credentials::{self, Load};
use crate::{
    GcpKmsConfig,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::{Refusal, Renewed, Result, SignError, place};
use google_cloud_gax::{client_builder::internal::with_follow_redirects, retry_policy::NeverRetry};
use google_cloud_kms::client::KeyManagementService;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::OnceCell, task::spawn_blocking, time::timeout};

/// How soon after they were read anew because they were not taken credentials may be read anew again.
const REREAD: Duration = Duration::from_secs(5);
/// The same where a token is late: it may still come, and each reading leaves the SDK with one more connection that hangs.
const REREAD_LATE: Duration = Duration::from_secs(60);

/// The client of one way into Cloud KMS. Nothing is read or asked until it is wanted.
#[derive(Debug)]
pub(crate) struct Clients {
    config: GcpKmsConfig,
    load: Load,
    now: Renewed<OnceCell<KeyManagementService>>,
    /// How often an operator asked to try again, in all that came from one.
    retries: Arc<AtomicU64>,
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
        Self { config, load, now: Renewed::new(retries.load(Relaxed)), retries }
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
                Cause::Expired | Cause::Unloaded => self.now.forget(REREAD),
                Cause::Late => self.now.forget(REREAD_LATE),
                _ => {}
            }
            if matches!(trouble.cause, Cause::Unloaded | Cause::Late) {
                trouble.error = trouble.error.of_store(&self.config.name);
            }
            trouble
        })
    }

    async fn client(&self) -> std::result::Result<KeyManagementService, Trouble> {
        let now = self.now.get(self.retries.load(Relaxed));
        let client = now.get_or_try_init(|| self.make()).await;
        client
            .cloned()
            .map_err(|error| Trouble { error: error.of_store(&self.config.name), cause: Cause::Unloaded })
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
        self.now.let_go();
    }

    /// What is asked, for people: without what stands before an `@`.
    pub(super) fn place(&self) -> String {
        self.config.endpoint.as_deref().map_or_else(|| "Google Cloud KMS".to_owned(), place)
    }
}
