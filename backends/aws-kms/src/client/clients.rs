//! One client for each Region, over one set of credentials.

use crate::{AwsKmsConfig, Credentials};
use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_sdk_kms::Client;
use catalyst_signing::{Refusal, Result, SignError};
use std::{collections::HashMap, time::Duration};
use tokio::sync::Mutex;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);
/// How a session of an assumed role is named in CloudTrail.
const SESSION: &str = "catalyst-pki";

/// The clients of one account. Nothing is read or asked until the first is wanted.
#[derive(Debug)]
pub(crate) struct Clients {
    config: AwsKmsConfig,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Debug)]
struct Loaded {
    shared: SdkConfig,
    by_region: HashMap<String, Client>,
}

impl Clients {
    pub(crate) fn new(config: AwsKmsConfig) -> Self {
        Self { config, loaded: Mutex::default() }
    }

    pub(crate) fn config(&self) -> &AwsKmsConfig {
        &self.config
    }

    /// The client of a Region; `None`: of the Region where keys are made.
    ///
    /// # Errors
    /// No Region is configured.
    pub(crate) async fn of(&self, region: Option<&str>) -> Result<Client> {
        let mut loaded = self.loaded.lock().await;
        let loaded = match &mut *loaded {
            Some(loaded) => loaded,
            empty => empty.insert(Loaded { shared: load(&self.config).await, by_region: HashMap::new() }),
        };
        let home = loaded.shared.region().map(ToString::to_string);
        let region = region.map(str::to_owned).or(home).ok_or_else(|| {
            SignError::refused(
                Refusal::Configuration,
                format!("the key store '{}' has no Region: set CATALYST_PKI_AWS_REGION", self.config.name),
            )
        })?;
        let make = || client(&self.config, &loaded.shared, &region);
        Ok(loaded.by_region.entry(region.clone()).or_insert_with(make).clone())
    }
}

/// Retries are the guard's work, so the SDK makes one attempt.
async fn load(config: &AwsKmsConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(config.call_timeout);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .use_fips(config.use_fips);
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Credentials::Profile(profile) | Credentials::Role { profile: Some(profile), .. } =
        &config.credentials
    {
        loader = loader.profile_name(profile);
    }
    let shared = loader.load().await;
    let Credentials::Role { arn, .. } = &config.credentials else { return shared };
    let role = AssumeRoleProvider::builder(arn).session_name(SESSION).configure(&shared).build().await;
    shared
        .into_builder()
        .credentials_provider(aws_sdk_kms::config::SharedCredentialsProvider::new(role))
        .build()
}

fn client(config: &AwsKmsConfig, shared: &SdkConfig, region: &str) -> Client {
    let mut builder = aws_sdk_kms::config::Builder::from(shared).region(Region::new(region.to_owned()));
    if let Some(endpoint) = &config.endpoint {
        builder = builder.endpoint_url(endpoint.replace("{region}", region));
    }
    Client::from_conf(builder.build())
}
