//! Who asks: reading what files, environment and metadata services say.

use crate::{AwsKmsConfig, Credentials};
use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use std::{pin::Pin, time::Duration};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);
/// How a session of an assumed role is named in CloudTrail.
const SESSION: &str = "catalyst-pki";

/// A way to what the SDK needs to know.
pub(crate) type Load = fn(AwsKmsConfig) -> Pin<Box<dyn Future<Output = SdkConfig> + Send>>;

/// What the default chain, a profile or a role gives. Retries are the guard's work, so the SDK makes one attempt.
/// Credentials themselves are loaded by the first call, and again before they expire: by one call, for which the others
/// wait.
pub(super) fn load(config: AwsKmsConfig) -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    Box::pin(async move {
        let shared = settings(&config).load().await;
        match &config.credentials {
            Credentials::Chain => shared,
            Credentials::Profile(name) => with_profile(shared, name),
            Credentials::Role { arn, profile } => {
                let base = match profile {
                    Some(name) => with_profile(shared, name),
                    None => shared,
                };
                let role = AssumeRoleProvider::builder(arn).session_name(SESSION).configure(&base).build();
                let role = SharedCredentialsProvider::new(role.await);
                base.into_builder().credentials_provider(role).build()
            }
        }
    })
}

/// What does not depend on who asks.
pub(crate) fn settings(config: &AwsKmsConfig) -> aws_config::ConfigLoader {
    let limit = config.call_timeout;
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(limit);
    // Shorter than the call that waits for it, so that what is late has its right name.
    let identities = IdentityCache::lazy().load_timeout(limit.mul_f64(0.8));
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .identity_cache(identities.build())
        .use_fips(config.use_fips);
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Credentials::Profile(profile) | Credentials::Role { profile: Some(profile), .. } =
        &config.credentials
    {
        loader = loader.profile_name(profile);
    }
    loader
}

fn with_profile(shared: SdkConfig, name: &str) -> SdkConfig {
    let mut settings = ProviderConfig::without_region()
        .with_region(shared.region().cloned())
        .with_retry_config(RetryConfig::disabled());
    if let Some(timeouts) = shared.timeout_config() {
        settings = settings.with_timeout_config(timeouts.clone());
    }
    let provider = ProfileFileCredentialsProvider::builder().profile_name(name).configure(&settings).build();
    let profile = Profile { name: name.to_owned(), provider };
    shared.into_builder().credentials_provider(SharedCredentialsProvider::new(profile)).build()
}

/// A profile that an operator chose: environment and metadata do not stand in for it, as they do in the default chain.
#[derive(Debug)]
struct Profile {
    name: String,
    provider: ProfileFileCredentialsProvider,
}

impl Profile {
    async fn credentials(&self) -> aws_credential_types::provider::Result {
        match self.provider.provide_credentials().await {
            Err(CredentialsError::CredentialsNotLoaded(_)) => {
                Err(CredentialsError::invalid_configuration(format!(
                    "there is no profile '{}' with credentials in ~/.aws/config or ~/.aws/credentials (or where \
                     AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE point)",
                    self.name
                )))
            }
            other => other,
        }
    }
}

impl ProvideCredentials for Profile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
