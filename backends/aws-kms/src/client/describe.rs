//! What an operator knows an account by.

use super::Clients;
use crate::trouble::Asked;
use aws_sdk_kms::config::{Credentials, ProvideCredentials};
use catalyst_signing::{Fact, Refusal, Result, SignError};

impl Clients {
    /// Region, endpoint, who asks and what he may. Of the access key id only the end is shown.
    ///
    /// # Errors
    /// Whatever KMS answers but a denial; nothing is asked where no Region is configured.
    pub(crate) async fn describe(&self) -> Result<Vec<Fact>> {
        let config = self.config();
        let shared = self.loaded().await?;
        let region = shared.region().map(ToString::to_string);
        let mut facts = vec![
            Fact { name: "Region", value: region.clone().unwrap_or_else(|| "that of each key's ARN".into()) },
            Fact {
                name: "endpoint",
                value: self.endpoint(region.as_deref()).unwrap_or_else(|| "AWS' own".into()),
            },
            Fact { name: "FIPS", value: if config.use_fips { "yes" } else { "no" }.into() },
        ];
        if !config.failover_regions.is_empty() {
            facts.push(Fact { name: "failover Regions", value: config.failover_regions.join(", ") });
        }
        if region.is_some() {
            let listing = if self.may_list().await? { "allowed" } else { "not allowed (kms:ListKeys)" };
            facts.push(Fact { name: "listing keys", value: listing.into() });
        }
        if let Some(provider) = shared.credentials_provider()
            && let Ok(credentials) = provider.provide_credentials().await
        {
            facts.push(Fact { name: "credentials", value: who(&credentials) });
        }
        Ok(facts)
    }

    async fn may_list(&self) -> Result<bool> {
        let asked = Asked { operation: "ListKeys", about: "the account" };
        match self.of(None).await?.list_keys().limit(1).send().await {
            Ok(_) => Ok(true),
            Err(error) => match self.failed(asked, &error) {
                SignError::Refused { kind: Refusal::Denied, .. } => Ok(false),
                error => Err(error),
            },
        }
    }
}

/// `…WXYZ from EnvironmentVariable`. The SDK shows a provider's name in its Debug alone, which leaves secrets out.
fn who(credentials: &Credentials) -> String {
    let id = credentials.access_key_id();
    let end = id.char_indices().rev().nth(3).and_then(|(at, _)| id.get(at..)).unwrap_or(id);
    let debug = format!("{credentials:?}");
    let provider = debug.split_once("provider_name: \"").and_then(|(_, rest)| rest.split('"').next());
    format!("…{end} from {}", provider.unwrap_or("a provider without a name"))
}
