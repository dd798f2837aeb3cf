//! What an operator knows a way into Cloud KMS by.

use super::Clients;
use crate::{
    Credentials, Protection,
    trouble::{Asked, Cause, Trouble},
};
use catalyst_signing::{Fact, Result};

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
            Fact { name: "credentials", value: who(&config.credentials) },
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
}

fn who(credentials: &Credentials) -> String {
    match credentials {
        Credentials::Default => "Application Default Credentials".into(),
        Credentials::File(path) => format!("of {}", path.display()),
        Credentials::Impersonated { account, .. } => format!("{account}, impersonated"),
    }
}
