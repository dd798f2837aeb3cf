//! What an operator knows a way into Cloud KMS by.

use super::{Clients, credentials::account_of};
use crate::{
    Credentials, Protection,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::{Fact, Result};
use std::{env, path::Path};
use tokio::task::spawn_blocking;

impl Clients {
    /// Endpoint, key rings, protection level, who asks and what he may.
    ///
    /// # Errors
    /// Whatever Cloud KMS answers but a denial; nothing is asked where no key ring is configured.
    pub(crate) async fn describe(&self) -> Result<Vec<Fact>> {
        let config = self.config();
        let endpoint = if config.endpoint.is_some() { self.place() } else { "Google's own".to_owned() };
        let protection = match config.protection {
            Protection::Hsm => "HSM",
            Protection::Software => "software",
        };
        let mut facts = vec![
            Fact { name: "endpoint", value: endpoint },
            Fact { name: "protection", value: protection.into() },
            Fact { name: "credentials", value: self.who().await },
        ];
        for ring in config.rings.all() {
            facts.push(Fact { name: "key ring", value: ring.to_string() });
            let asked =
                Asked { operation: "ListCryptoKeys", permission: "cryptoKeys.list", about: ring.as_str() };
            let listed = self
                .ask(asked, |client| {
                    client.list_crypto_keys().set_parent(ring.as_str()).set_page_size(1).send()
                })
                .await;
            let listing = match listed {
                Ok(_) => "allowed",
                Err(Trouble { cause: Cause::Denied, .. }) => "not allowed (cloudkms.cryptoKeys.list)",
                Err(trouble) => return Err(trouble.error),
            };
            facts.push(Fact { name: "listing keys", value: listing.into() });
        }
        Ok(facts)
    }

    async fn who(&self) -> String {
        let credentials = self.config().credentials.clone();
        // Files are read.
        spawn_blocking(move || who(&credentials)).await.unwrap_or_else(|_| "not known".into())
    }
}

/// The service account where it is known without asking: the metadata server alone knows the machine's.
fn who(credentials: &Credentials) -> String {
    let of_file = |path: &Path| match account_of(path) {
        Some(account) => format!("{account}, of {}", path.display()),
        None => format!("of {}", path.display()),
    };
    match credentials {
        Credentials::Default => match env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
            Some(path) => format!("{} (GOOGLE_APPLICATION_CREDENTIALS)", of_file(Path::new(&path))),
            None => "Application Default Credentials (gcloud's file, or else the metadata server)".into(),
        },
        Credentials::File(path) => of_file(path),
        Credentials::Impersonated { account, file: None } => {
            format!("{account}, impersonated by {}", who(&Credentials::Default))
        }
        Credentials::Impersonated { account, file: Some(path) } => {
            format!("{account}, impersonated by {}", of_file(path))
        }
    }
}
