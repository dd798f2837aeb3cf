//! The LocalStack that `tests/run` started.

use super::Caller;
use crate::RigError;
use std::{
    collections::hash_map::RandomState,
    env,
    hash::BuildHasher as _,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// LocalStack with KMS alone. It is shared by all tests: each has an account of its own in it, or a deployment.
#[derive(Debug, Clone)]
pub struct LocalStack {
    address: SocketAddr,
    account: String,
}

impl LocalStack {
    /// The running one, and a new account in it.
    ///
    /// # Errors
    /// None runs; the error names the command that starts one.
    pub fn at_hand() -> Result<Self, RigError> {
        let missing = || RigError::NotRunning { what: "LocalStack", variable: "CATALYST_RIG_LOCALSTACK" };
        let endpoint = env::var("CATALYST_RIG_LOCALSTACK").map_err(|_| missing())?;
        let address = endpoint.strip_prefix("http://").and_then(|address| address.parse().ok());
        let address: SocketAddr = address.ok_or_else(missing)?;
        TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(|_| missing())?;
        // LocalStack takes an access key id of twelve digits as the account.
        let account = format!("{:012}", RandomState::new().hash_one(()) % 10_u64.pow(12));
        Ok(Self { address, account })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The account: twelve digits. No other test has it.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// An access key id of the account. Any secret access key goes with it.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.account
    }

    /// Somebody in the account who asks in this Region.
    #[must_use]
    pub fn caller(&self, region: &str) -> Caller {
        Caller::new(self.address, &self.account, region)
    }

    /// The variables with which an SDK asks in this account.
    #[must_use]
    pub fn credentials(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", self.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            // Else an SDK may look for a machine's own.
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

/// What the SDKs sign with; nobody checks the signature.
const SECRET_ACCESS_KEY: &str = "a-secret-that-nobody-checks";
