//! What an operator says of one account in AWS KMS.

use catalyst_signing::Opening;
use std::{path::PathBuf, time::Duration};

/// One way into AWS KMS: who asks, and where. Holds no secret: credentials come from the SDK's default chain.
#[derive(Clone, Debug)]
pub struct AwsKmsConfig {
    /// What operators choose it by: `aws-kms`, `aws-kms:root`.
    pub name: String,
    /// Where keys are made, and where a bare id or alias is looked up; `None`: as the default chain has it. A pinned
    /// key's Region is in its ARN.
    pub region: Option<String>,
    /// Who asks.
    pub credentials: Credentials,
    /// How long credentials are kept.
    pub opening: Opening,
    /// Another endpoint than AWS's own, such as a VPC endpoint; `{region}` in it stands for the Region.
    pub endpoint: Option<String>,
    /// Whether the FIPS endpoints are used.
    pub use_fips: bool,
    /// Where multi-Region keys sign when their own Region does not answer, in this order. Where there are any, keys are
    /// made as multi-Region keys and replicated there.
    pub failover_regions: Vec<String>,
    /// The most calls per second to one account and Region.
    pub calls_per_second: u32,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// How old an intent must be before a key that is not found was never made: KMS shows a new key late.
    pub settle: Duration,
    /// The file of the key policy that new keys get; `None`: the account's default.
    pub key_policy: Option<PathBuf>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The SDK's default chain: environment, shared files, web identity, container, instance metadata (IMDSv2).
    Chain,
    /// A profile of the shared files.
    Profile(String),
    /// A role (its ARN) that the chain's identity, or that of a profile, assumes through STS.
    Role {
        /// `arn:aws:iam::<account>:role/<name>`.
        arn: String,
        /// The profile whose identity assumes it.
        profile: Option<String>,
    },
}
