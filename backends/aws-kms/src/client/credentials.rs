//! Who asks: reading what files, environment and metadata services say.

use crate::{AwsKmsConfig, Credentials};
use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use std::{env, pin::Pin, time::Duration};
use tokio::time::timeout;

/// How long a connection may take to come about: a lost packet of its beginning is sent again after one second and after
/// three.
const CONNECT: Duration = Duration::from_millis(3100);
/// How a session of an assumed role is named in CloudTrail.
const SESSION: &str = "catalyst-pki";

/// A way to what the SDK needs to know.
pub(crate) type Load = fn(AwsKmsConfig) -> Pin<Box<dyn Future<Output = SdkConfig> + Send>>;

/// What the default chain, a profile or a role gives. Retries are the guard's work, so the SDK makes one attempt.
/// Credentials themselves are loaded by the first call, and again before they expire: by one call, for which the others
/// wait.
pub(super) fn load(config: AwsKmsConfig) -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    Box::pin(async move {
        let mut shared = settings(&config).load().await;
        if let Credentials::Profile(name) | Credentials::Role { profile: Some(name), .. } =
            &config.credentials
        {
            shared = with_profile(shared, name);
        }
        if let Credentials::Role { arn, .. } = &config.credentials {
            let role = AssumeRoleProvider::builder(arn).session_name(SESSION).configure(&shared).build();
            let role = SharedCredentialsProvider::new(role.await);
            shared = shared.into_builder().credentials_provider(role).build();
        }
        in_time(shared, config.call_timeout)
    })
}

/// A variable that is set and empty, of those by which the SDK asks STS: it panics at an empty endpoint.
pub(super) fn empty_variable() -> Option<&'static str> {
    let is_empty = |name: &&str| env::var_os(name).is_some_and(|value| value.is_empty());
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"].into_iter().find(is_empty)
}

/// Gives loading credentials less time than the call that waits for it, so that what is late has its right name.
pub(crate) fn in_time(shared: SdkConfig, call: Duration) -> SdkConfig {
    let Some(provider) = shared.credentials_provider() else { return shared };
    let timely = SharedCredentialsProvider::new(Timely { provider, limit: call.mul_f64(0.8) });
    shared.into_builder().credentials_provider(timely).build()
}

/// What does not depend on who asks.
pub(crate) fn settings(config: &AwsKmsConfig) -> aws_config::ConfigLoader {
    let limit = config.call_timeout;
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(limit);
    let identities = IdentityCache::lazy().load_timeout(limit);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .identity_cache(identities.build())
        // Nothing is streamed, and the whole call has its limit: this would cost each of them a timer and a wrapped body.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
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
    let profile = Profile {
        name: name.to_owned(),
        region: shared.region().cloned(),
        use_fips: shared.use_fips(),
        timeouts: shared.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled),
    };
    shared.into_builder().credentials_provider(SharedCredentialsProvider::new(profile)).build()
}

/// A profile that an operator chose: environment and metadata do not stand in for it, as they do in the default chain.
/// Its files are read each time, so that what is written there anew is seen.
#[derive(Debug)]
struct Profile {
    name: String,
    region: Option<Region>,
    use_fips: Option<bool>,
    timeouts: TimeoutConfig,
}

impl Profile {
    async fn credentials(&self) -> aws_credential_types::provider::Result {
        let settings = ProviderConfig::without_region()
            .with_region(self.region.clone())
            .with_use_fips(self.use_fips)
            .with_retry_config(RetryConfig::disabled())
            .with_timeout_config(self.timeouts.clone());
        let provider =
            ProfileFileCredentialsProvider::builder().profile_name(&self.name).configure(&settings).build();
        match provider.provide_credentials().await {
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

/// Credentials that come within a limit, or not at all.
#[derive(Debug)]
struct Timely {
    provider: SharedCredentialsProvider,
    limit: Duration,
}

impl Timely {
    async fn credentials(&self) -> aws_credential_types::provider::Result {
        match timeout(self.limit, self.provider.provide_credentials()).await {
            Ok(answer) => answer,
            Err(_) => self
                .provider
                .fallback_on_interrupt()
                .ok_or_else(|| CredentialsError::provider_timed_out(self.limit)),
        }
    }
}

impl ProvideCredentials for Timely {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }

    fn fallback_on_interrupt(&self) -> Option<aws_credential_types::Credentials> {
        self.provider.fallback_on_interrupt()
    }
}
