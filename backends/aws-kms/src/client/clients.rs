//! One client for each Region, over one set of credentials.

use super::{
    Regions,
    credentials::{self, Load},
    memory::Memory,
};
use crate::{
    AwsKmsConfig,
    keys::KeyArn,
    trouble::{Asked, Cause, Trouble},
};
use aws_config::{Region, SdkConfig};
use aws_sdk_kms::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use catalyst_signing::{Refusal, Renewed, Result, SignError, place};
use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{sync::OnceCell, time::timeout};

/// How soon after they were read anew credentials may be read anew again.
const REREAD: Duration = Duration::from_secs(5);

/// The clients of one account. Nothing is read or asked until the first is wanted.
#[derive(Debug)]
pub(crate) struct Clients {
    config: AwsKmsConfig,
    load: Load,
    now: Renewed<Set>,
    memory: Arc<Memory>,
}

/// One reading of files and environment.
#[derive(Debug, Default)]
struct Set {
    shared: OnceCell<SdkConfig>,
    by_region: Mutex<HashMap<String, Client>>,
}

impl Clients {
    pub(crate) fn new(config: AwsKmsConfig) -> Self {
        Self::loading(config, credentials::load)
    }

    /// As [`Clients::new`], with another way to credentials.
    pub(crate) fn loading(config: AwsKmsConfig, load: Load) -> Self {
        Self::begin(config, load, Arc::default())
    }

    /// The same account with credentials of its own, read when they are wanted and dropped with it. What is known of
    /// Regions and new keys is shared.
    pub(crate) fn fresh(&self) -> Self {
        Self::begin(self.config.clone(), self.load, self.memory.clone())
    }

    fn begin(config: AwsKmsConfig, load: Load, memory: Arc<Memory>) -> Self {
        Self { config, load, now: Renewed::new(memory.retries()), memory }
    }

    pub(crate) fn config(&self) -> &AwsKmsConfig {
        &self.config
    }

    /// How the Regions are, as all keys of this key store have seen them.
    pub(crate) fn regions(&self) -> &Regions {
        self.memory.regions()
    }

    /// The client of a Region; `None`: of the Region where keys are made.
    ///
    /// # Errors
    /// A refusal where no Region is configured, or an endpoint that is none or stands together with FIPS. Transient where
    /// reading files and asking the instance's metadata takes longer than a call may.
    pub(crate) async fn of(&self, region: Option<&str>) -> Result<Client> {
        let set = self.set();
        let shared = self.shared(&set).await?;
        let home = || shared.region().map(ToString::to_string);
        let region = region.map(str::to_owned).or_else(home).ok_or_else(|| {
            SignError::refused(
                Refusal::Configuration,
                format!("the key store '{}' has no Region: set CATALYST_PKI_AWS_REGION", self.config.name),
            )
        })?;
        let make = || client(&self.config, shared, &region);
        let mut by_region = set.by_region.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(by_region.entry(region.clone()).or_insert_with(make).clone())
    }

    fn check_endpoint(&self) -> Result<()> {
        if let Some(variable) = credentials::empty_variable() {
            let reason = format!("{variable} is set and empty, at which the AWS SDK gives up: unset it");
            return Err(SignError::refused(Refusal::Configuration, reason));
        }
        let Some(endpoint) = &self.config.endpoint else { return Ok(()) };
        let wrong = if self.config.use_fips {
            "CATALYST_PKI_AWS_ENDPOINT and CATALYST_PKI_AWS_USE_FIPS exclude each other: write the FIPS endpoint \
             itself, or leave the choice to FIPS"
        } else if !is_url(&endpoint.replace("{region}", "region")) {
            "CATALYST_PKI_AWS_ENDPOINT is no endpoint: write https://<host>, with {region} where the Region belongs"
        } else {
            return Ok(());
        };
        Err(SignError::refused(Refusal::Configuration, wrong))
    }

    /// What files and environment say now.
    pub(super) async fn loaded(&self) -> Result<SdkConfig> {
        self.shared(&self.set()).await.cloned()
    }

    async fn shared<'s>(&self, set: &'s Set) -> Result<&'s SdkConfig> {
        // Once, and not for every signature.
        if let Some(shared) = set.shared.get() {
            return Ok(shared);
        }
        self.check_endpoint()?;
        let limit = self.config.call_timeout;
        let load = set.shared.get_or_init(|| (self.load)(self.config.clone()));
        timeout(limit, load).await.map_err(|_| {
            SignError::timed_out(format!(
                "reading AWS' configuration took longer than {} s; without a Region the instance metadata service \
                 is asked for one: set CATALYST_PKI_AWS_REGION",
                limit.as_secs()
            ))
        })
    }

    /// What a failed call means, with what is known here: its endpoint, and whether the key is so young that KMS may
    /// not show it yet. Credentials that have expired are forgotten, so that the next attempt reads them anew.
    pub(crate) fn failed<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        asked: Asked<'_>,
        error: &SdkError<E, HttpResponse>,
    ) -> SignError {
        self.trouble(asked, error).error
    }

    /// As [`Clients::failed`], with the cause.
    pub(crate) fn trouble<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        asked: Asked<'_>,
        error: &SdkError<E, HttpResponse>,
    ) -> Trouble {
        let mut trouble = asked.trouble(&self.place(asked.about), error);
        if matches!(trouble.cause, Cause::Expired | Cause::Unloaded) {
            self.now.forget(REREAD);
        }
        if trouble.cause == Cause::Unloaded {
            trouble.error = trouble.error.of_store(&self.config.name);
        }
        if trouble.cause == Cause::Missing && self.memory.is_young(asked.about) {
            trouble.error = SignError::unavailable(format!(
                "{} is new, and AWS KMS does not show it everywhere yet: {}",
                asked.about, trouble.error
            ));
        }
        trouble
    }

    /// A key was made at that time: until five minutes later KMS may not show it everywhere.
    pub(crate) fn born(&self, arn: &KeyArn, at: SystemTime) {
        self.memory.born(arn, at);
    }

    /// An operator wants everything to be tried again: credentials are read anew, Regions and keys that were left out
    /// are asked again.
    pub(crate) fn retry(&self) {
        self.memory.retry();
    }

    /// How often an operator has asked to try again.
    pub(crate) fn retries(&self) -> u64 {
        self.memory.retries()
    }

    /// Lets credentials and connections go, once the calls under way have ended.
    pub(crate) fn let_go(&self) {
        self.now.let_go();
    }

    fn set(&self) -> Arc<Set> {
        self.now.get(self.memory.retries())
    }

    /// What is asked about a key, for people.
    fn place(&self, about: &str) -> String {
        let region = KeyArn::parse(about).map(|arn| arn.region().to_owned());
        match (self.endpoint(region.as_deref()), region) {
            (Some(endpoint), _) => endpoint,
            (None, Some(region)) => format!("AWS KMS in {region}"),
            (None, None) => "AWS KMS".to_owned(),
        }
    }

    /// The endpoint that is configured, as people may see it: without what stands before an `@`.
    pub(super) fn endpoint(&self, region: Option<&str>) -> Option<String> {
        let endpoint = self.config.endpoint.as_deref()?;
        let endpoint =
            region.map_or_else(|| endpoint.to_owned(), |region| endpoint.replace("{region}", region));
        Some(place(&endpoint))
    }
}

/// The SDK panics at an empty endpoint, and fails late at one that it cannot read.
fn is_url(endpoint: &str) -> bool {
    let is_http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
    is_http && HttpRequest::empty().set_uri(endpoint).is_ok()
}

fn client(config: &AwsKmsConfig, shared: &SdkConfig, region: &str) -> Client {
    let mut builder = aws_sdk_kms::config::Builder::from(shared).region(Region::new(region.to_owned()));
    // Where there is none, neither is there one in the environment or a profile: nobody has looked at that, and it would
    // stand for every Region.
    builder.set_endpoint_url(config.endpoint.as_ref().map(|endpoint| endpoint.replace("{region}", region)));
    Client::from_conf(builder.build())
}
