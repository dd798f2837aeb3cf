//! `aws-kms`: keys in AWS KMS.

use super::{Factory, Failure, Named, aws_names as names, described, root};
use crate::settings::{
    BackendSettings, Fallback, KeySettings, Kind, Setting, Settings, SettingsError, StoreSettings,
};
use catalyst_aws_kms::{AwsKmsBackend, AwsKmsConfig, Credentials, Opening};
use catalyst_signing::SigningBackend;
use std::{path::PathBuf, sync::Arc, time::Duration};

const REGION: &str = "CATALYST_PKI_AWS_REGION";
const PROFILE: &str = "CATALYST_PKI_AWS_PROFILE";
const ROLE: &str = "CATALYST_PKI_AWS_ROLE";
const ENDPOINT: &str = "CATALYST_PKI_AWS_ENDPOINT";
const USE_FIPS: &str = "CATALYST_PKI_AWS_USE_FIPS";
const FAILOVER_REGIONS: &str = "CATALYST_PKI_AWS_FAILOVER_REGIONS";
const RATE: &str = "CATALYST_PKI_AWS_RATE";
const TIMEOUT: &str = "CATALYST_PKI_AWS_TIMEOUT";
const SETTLE: &str = "CATALYST_PKI_AWS_SETTLE";
const KEY_POLICY: &str = "CATALYST_PKI_AWS_KEY_POLICY";

const SETTINGS: BackendSettings = BackendSettings {
    name: "aws-kms",
    settings: ROWS,
    several: true,
    keys: Some(KeySettings {
        root: &key(
            "CATALYST_PKI_KMS_KEY_ARN",
            "aws-key-arn",
            "aws-kms.key_arn",
            "Existing key for the next root CA: its ARN or id, `alias/<name>` or an alias' ARN",
        ),
        services: &key(
            "CATALYST_PKI_KMS_KEY_ARN_SERVICES",
            "aws-key-arn-services",
            "aws-kms.key_arn_services",
            "The same for the next services CA",
        ),
        transport: &key(
            "CATALYST_PKI_KMS_KEY_ARN_TRANSPORT",
            "aws-key-arn-transport",
            "aws-kms.key_arn_transport",
            "The same for the next transport CA",
        ),
        tokens: &key(
            "CATALYST_PKI_KMS_KEY_ARN_TOKENS",
            "aws-key-arn-tokens",
            "aws-kms.key_arn_tokens",
            "The same for the next token signing key, which is an EC-P384 key",
        ),
        names_key: |_| true,
    }),
};

pub(super) const FACTORY: Factory = Factory { settings: SETTINGS, takes_root_credentials: true, open };

const ROWS: &[Setting] = &[
    Setting::of_key_store(
        REGION,
        "aws-region",
        "aws-kms.region",
        Kind::Checked { check: names::check_region, accepts: "name of a Region, such as `eu-central-1`" },
        Fallback::Unset("as the AWS SDK decides"),
        "Region in which keys are made and an id or alias without a Region is looked up; without it the AWS SDK decides (`AWS_REGION`, the profile, the instance)",
    ),
    Setting::of_key_store(
        PROFILE,
        "aws-profile",
        "aws-kms.profile",
        Kind::Checked { check: names::check_profile, accepts: "name of a profile" },
        Fallback::Unset("as the AWS SDK decides"),
        "Profile of the shared AWS files whose credentials are used; without it the AWS SDK finds them (`AWS_ACCESS_KEY_ID` and others, `AWS_PROFILE`, web identity, container, instance)",
    ),
    Setting::of_key_store(
        ROLE,
        "aws-role",
        "aws-kms.role",
        Kind::Checked { check: names::check_role, accepts: "ARN of an IAM role" },
        Fallback::Unset("no role is assumed"),
        "Role that is assumed with those credentials",
    ),
    Setting::of_key_store(
        ENDPOINT,
        "aws-endpoint",
        "aws-kms.endpoint",
        Kind::Checked { check: names::check_endpoint, accepts: "`https` URL; `http` to this machine alone" },
        Fallback::Unset("that of AWS for each Region"),
        "Another endpoint, such as a VPC endpoint; `{region}` in it stands for the Region",
    ),
    Setting::of_key_store(
        USE_FIPS,
        "aws-use-fips",
        "aws-kms.use_fips",
        Kind::Bool,
        Fallback::Value("false"),
        "Use AWS's FIPS endpoints",
    ),
    Setting::of_key_store(
        FAILOVER_REGIONS,
        "aws-failover-regions",
        "aws-kms.failover_regions",
        Kind::List,
        Fallback::Unset("none: keys are of one Region"),
        "Regions in which multi-Region keys sign, in this order, while their own does not answer; new keys are made as such and replicated there",
    ),
    Setting::of_key_store(
        RATE,
        "aws-rate",
        "aws-kms.rate",
        Kind::Number { min: 1, max: 100_000, unit: "calls" },
        Fallback::Value("250"),
        "The most calls a second to one account and Region: keep it below the account's quota, of which AWS gives 300 at least",
    ),
    Setting::of_key_store(
        TIMEOUT,
        "aws-timeout",
        "aws-kms.timeout",
        Kind::Number { min: 1, max: 60, unit: "seconds" },
        Fallback::Value("3"),
        "How long one call may take, in seconds",
    ),
    Setting::of_key_store(
        SETTLE,
        "aws-settle",
        "aws-kms.settle",
        Kind::Number { min: 1, max: 3600, unit: "seconds" },
        Fallback::Value("300"),
        "How long after a creation whose outcome is not known its key is looked for, in seconds, before another is made: AWS KMS shows new keys late",
    ),
    Setting::of_key_store(
        KEY_POLICY,
        "aws-key-policy",
        "aws-kms.key_policy",
        Kind::Path,
        Fallback::Unset("the account's default policy"),
        "Key policy (JSON) that new keys get",
    ),
];

const fn key(variable: &'static str, flag: &'static str, key: &'static str, help: &'static str) -> Setting {
    let kind =
        Kind::Checked { check: names::check_key, accepts: "ARN, id, `alias/<name>` or ARN of an alias" };
    Setting::of_key_store(variable, flag, key, kind, Fallback::Unset("a key is made"), help)
}

fn open(settings: &Settings, named: Option<&str>) -> Result<Named, Failure> {
    let stores = described(settings, &SETTINGS, named);
    let configs = stores.map(|store| config(&store, settings)).collect::<Result<Vec<_>, _>>()?;
    root::keep_apart(
        &configs,
        |config| config.opening == Opening::WhileInUse,
        |root, other| other.credentials == root.credentials,
        |config| &config.name,
        "uses the same role or profile: give the root one of its own",
    )?;
    let backend = |config: AwsKmsConfig| -> (String, Arc<dyn SigningBackend>) {
        (config.name.clone(), Arc::new(AwsKmsBackend::new(config)))
    };
    Ok(configs.into_iter().map(backend).collect())
}

fn config(store: &StoreSettings<'_>, settings: &Settings) -> Result<AwsKmsConfig, SettingsError> {
    let (credentials, opening) = match root::credentials(store, settings)? {
        Some(given) => (root_credentials(store, given)?, Opening::WhileInUse),
        None => (credentials(store), Opening::Kept),
    };
    let endpoint = store.text(ENDPOINT).map(str::to_owned);
    let use_fips = store.text(USE_FIPS) == Some("true");
    if use_fips && endpoint.is_some() {
        return Err(SettingsError::Together(format!(
            "{} and {} are both given, and FIPS endpoints are AWS's own: name one of them as the endpoint, or leave the choice to AWS",
            store.called(USE_FIPS),
            store.called(ENDPOINT)
        )));
    }
    Ok(AwsKmsConfig {
        name: store.name().to_owned(),
        region: store.text(REGION).map(str::to_owned),
        credentials,
        opening,
        endpoint,
        use_fips,
        failover_regions: failover_regions(store)?,
        calls_per_second: store.number(RATE, "a number of calls")?,
        call_timeout: Duration::from_secs(store.number(TIMEOUT, "a number of seconds")?),
        settle: Duration::from_secs(store.number(SETTLE, "a number of seconds")?),
        key_policy: store.text(KEY_POLICY).map(PathBuf::from),
    })
}

fn failover_regions(store: &StoreSettings<'_>) -> Result<Vec<String>, SettingsError> {
    let Some(given) = store.text(FAILOVER_REGIONS) else { return Ok(Vec::new()) };
    let mut regions: Vec<String> = Vec::new();
    for region in given.split(',').map(str::trim) {
        let problem = match names::check_region(region) {
            Err(problem) => Some(problem),
            Ok(()) if regions.iter().any(|known| known == region) => {
                Some("each Region once is wanted".into())
            }
            Ok(()) if store.text(REGION) == Some(region) => {
                Some(format!("Regions other than that of {} are wanted", store.called(REGION)))
            }
            Ok(()) => None,
        };
        if let Some(problem) = problem {
            return Err(store.invalid(FAILOVER_REGIONS, problem));
        }
        regions.push(region.to_owned());
    }
    Ok(regions)
}

fn credentials(store: &StoreSettings<'_>) -> Credentials {
    let profile = store.text(PROFILE).map(str::to_owned);
    match (store.text(ROLE), profile) {
        (Some(arn), profile) => Credentials::Role { arn: arn.to_owned(), profile },
        (None, Some(profile)) => Credentials::Profile(profile),
        (None, None) => Credentials::Chain,
    }
}

/// Who asks for one operation of the root's. A profile beside a role is whose identity assumes it.
fn root_credentials(store: &StoreSettings<'_>, given: &str) -> Result<Credentials, SettingsError> {
    let profile = store.text(PROFILE).map(str::to_owned);
    let (credentials, twice) = match names::root_credentials(given) {
        Some(names::RootCredentials::Role(arn)) => (Credentials::Role { arn, profile }, &[ROLE][..]),
        Some(names::RootCredentials::Profile(profile)) => {
            (Credentials::Profile(profile), &[ROLE, PROFILE][..])
        }
        None => {
            return Err(SettingsError::Together(format!(
                "CATALYST_PKI_ROOT_CREDENTIALS names no credentials of AWS: for the key store '{}' the ARN of a role is wanted, as arn:aws:iam::111122223333:role/catalyst-root, or profile/<name of a profile>",
                store.name()
            )));
        }
    };
    root::given_once(store, twice.iter().copied().find(|row| store.text(row).is_some()))?;
    Ok(credentials)
}
