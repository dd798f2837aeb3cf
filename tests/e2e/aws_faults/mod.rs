//! Keys in AWS KMS, and the whole service, while KMS fails: the proxy in this process does what a test says.

mod away;
mod check;
mod failover;
mod latching;
mod neighbours;
mod passing;
mod policies;
mod rights;
mod states;

use crate::{
    auth_cli::run,
    cloud_faults::{FailingCloud, SERVICES_CA, TRANSPORT_CA, initialized},
    pkcs11::{ask, key_uris, refusal, with},
    pki::{Pki, eventually, launch_in, ok, refused, verifies},
};
use catalyst_rigs::{
    Launch,
    aws::{Call, Fault, FaultProxy, When},
    logs::LogLine,
};
use serde_json::json;
use std::{path::Path, thread, time::Duration};
use tempfile::TempDir;

const REGION: &str = "eu-central-1";

/// The variables with which `catalyst` asks at the proxy, in its account, and nowhere else.
pub(crate) fn variables(proxy: &FaultProxy) -> Vec<(String, String)> {
    let own = [
        ("CATALYST_PKI_AWS_ENDPOINT", proxy.endpoint()),
        ("CATALYST_PKI_AWS_REGION", REGION.to_owned()),
        ("CATALYST_PKI_AWS_SETTLE", "2".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    proxy.localstack().credentials().into_iter().chain(own).collect()
}

/// `catalyst serve` in this directory with every key in KMS.
fn launch(data_dir: &Path, proxy: &FaultProxy) -> Launch {
    with(launch_in(data_dir), &variables(proxy)).env("CATALYST_PKI_KEY_BACKEND", "aws-kms")
}

/// The same with the keys of the root and of tokens in files, which no fault reaches.
fn launch_issuers(data_dir: &Path, proxy: &FaultProxy) -> Launch {
    launch(data_dir, proxy)
        .env("CATALYST_PKI_KEY_BACKEND_ROOT", "local")
        .env("CATALYST_PKI_KEY_BACKEND_TOKENS", "local")
}

/// A service whose services CA and transport CA have their keys in KMS.
struct Cloud {
    pki: Pki,
    proxy: FaultProxy,
    /// Where the key of the services CA is.
    services: String,
    /// Where the key of the transport CA is.
    transport: String,
    data_dir: TempDir,
}

impl Cloud {
    /// Ends the service, and starts it in the same directory.
    fn restarted(mut self, settings: impl FnOnce(Launch) -> Launch) -> Self {
        assert!(self.pki.service.stop().unwrap().success(), "{}", self.pki.service.log());
        self.pki = Pki::start(settings(launch_issuers(self.data_dir.path(), &self.proxy)));
        self
    }

    /// An operation on the key of the services CA.
    fn services(&self, operation: &str) -> When {
        When::calling(operation).of_key(&self.services)
    }
}

impl FailingCloud for Cloud {
    const STORE: &'static str = "aws-kms";
    const LABEL: &'static str = "awskms";
    const RATE_SETTING: &'static str = "CATALYST_PKI_AWS_RATE";
    type Fault = Fault;

    fn with(settings: impl FnOnce(Launch) -> Launch) -> Self {
        let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
        let pki = initialized(settings(launch_issuers(data_dir.path(), &proxy)));
        let [_, services, transport] = key_uris(&pki);
        Self { pki, proxy, services, transport, data_dir }
    }

    fn pki(&self) -> &Pki {
        &self.pki
    }

    fn services_key(&self) -> &str {
        self.services.trim_start_matches("awskms:")
    }

    fn signing(&self, fault: Fault) {
        self.proxy.script(self.services("Sign"), fault);
    }

    fn signing_first(&self, times: usize, fault: Fault) {
        self.proxy.script(self.services("Sign").first(times), fault);
    }

    fn heal(&self) {
        self.proxy.heal();
    }

    fn signs(&self) -> usize {
        let named = |call: &&Call| {
            call.operation == "Sign" && call.key.as_deref().is_some_and(|id| self.services.ends_with(id))
        };
        self.proxy.calls().iter().filter(named).count()
    }
}
