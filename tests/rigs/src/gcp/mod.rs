//! A fake of Google Cloud KMS: the program of `tests/gcp-fake`, one process for each test, which ends with it.

pub mod api;
mod checksum;
mod control;
mod google;

pub use checksum::{ZERO_CHECKSUM_OF_SHA256, ZERO_CHECKSUM_OF_SHA384, crc32c, with_zero_checksum};
pub use control::{
    Alteration, Binding, Call, Effect, Generation, Grant, On, Plant, Refusal, Rule, Settings, Tamper, When,
    Wrong,
};
pub use google::google_client;

use crate::{RigError, http::Client, prepared};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What the program prints before its address.
pub const GREETING: &str = "listening on ";

/// The service account of the machine whose metadata server the fake is, and its token.
pub const MACHINE: &str = "machine@p.iam.gserviceaccount.com";

/// A fake of Google Cloud KMS that nobody else uses.
#[derive(Debug)]
pub struct FakeKms {
    program: Child,
    address: SocketAddr,
    control: Client,
}

impl FakeKms {
    /// A new one, empty and without a fault.
    ///
    /// # Errors
    /// `tests/run` has not built it, or it can't be started.
    pub fn start() -> Result<Self, RigError> {
        Self::of(&prepared("CATALYST_RIG_GCP_FAKE")?)
    }

    /// A new one of this program.
    ///
    /// # Errors
    /// It can't be started.
    pub fn of(program: &Path) -> Result<Self, RigError> {
        // It ends when its standard input does, so that it outlives no test that is killed.
        let mut program = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut greeting = String::new();
        if let Some(output) = &mut program.stdout {
            BufReader::new(output.take(200)).read_line(&mut greeting)?;
        }
        let address = greeting.strip_prefix(GREETING).and_then(|address| address.trim().parse().ok());
        match address {
            Some(address) => Ok(Self { program, address, control: Client::new(address) }),
            None => {
                end(&mut program);
                Err(RigError::Output(greeting))
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.program.id()
    }

    /// What a client of Google's is given as its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this goes wrong too.
    ///
    /// # Errors
    /// The fake does not answer.
    pub fn add(&self, on: On, when: When, effect: Effect) -> Result<(), RigError> {
        self.send("POST", "rules", &json!(Rule { on, when, effect })).map(drop)
    }

    /// Nothing goes wrong any more.
    ///
    /// # Errors
    /// The fake does not answer.
    pub fn clear(&self) -> Result<(), RigError> {
        self.send("DELETE", "rules", &Value::Null).map(drop)
    }

    /// How the service behaves from now on.
    ///
    /// # Errors
    /// The fake does not answer.
    pub fn set(&self, settings: &Settings) -> Result<(), RigError> {
        self.send("PUT", "settings", &json!(settings)).map(drop)
    }

    /// Puts a key there; gives the name of its version.
    ///
    /// # Errors
    /// It is there already, or the service has no such keys.
    pub fn plant(&self, plant: &Plant) -> Result<String, RigError> {
        let answer = self.send("POST", "keys", &json!(plant))?;
        answer["name"].as_str().map(str::to_owned).ok_or_else(|| RigError::Output(answer.to_string()))
    }

    /// Makes a key ring (`projects/…/locations/…/keyRings/…`), as everybody can through the API.
    ///
    /// # Errors
    /// It is there already, or its name is none.
    pub fn ring(&self, name: &str) -> Result<(), RigError> {
        let (location, id) = name.split_once("/keyRings/").unwrap_or((name, ""));
        let path = format!("/v1/{location}/keyRings?keyRingId={id}");
        match self.control.request("POST", &path, &[], b"{}")? {
            answer if answer.status == 200 => Ok(()),
            answer => Err(RigError::Refused { command: format!("POST {path}"), output: answer.text() }),
        }
    }

    /// Changes a version behind everybody's back.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn alter(&self, version: &str, alteration: &Alteration) -> Result<(), RigError> {
        self.send("PATCH", &format!("versions/{version}"), &json!(alteration)).map(drop)
    }

    /// Allows something to somebody. The first binding ends that everybody may do everything.
    ///
    /// # Errors
    /// There is no such role.
    pub fn bind(&self, binding: &Binding) -> Result<(), RigError> {
        self.send("POST", "bindings", &json!(binding)).map(drop)
    }

    /// Everybody may do everything again.
    ///
    /// # Errors
    /// The fake does not answer.
    pub fn unbind(&self) -> Result<(), RigError> {
        self.send("DELETE", "bindings", &Value::Null).map(drop)
    }

    /// Puts the service's clock forward.
    ///
    /// # Errors
    /// The fake does not answer.
    pub fn advance(&self, time: Duration) -> Result<(), RigError> {
        self.send("POST", "clock", &json!(time)).map(drop)
    }

    /// The calls so far, in the order in which they came.
    ///
    /// # Errors
    /// The fake does not answer.
    pub fn calls(&self) -> Result<Vec<Call>, RigError> {
        let calls = self.send("GET", "calls", &Value::Null)?;
        serde_json::from_value(calls).map_err(|error| RigError::Output(error.to_string()))
    }

    /// How many calls of this method there were so far.
    ///
    /// # Errors
    /// The fake does not answer.
    pub fn count(&self, method: api::Method) -> Result<usize, RigError> {
        Ok(self.calls()?.iter().filter(|call| call.method == method).count())
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, RigError> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.control.request(method, &format!("/fake/{path}"), &[], &body)?;
        match answer.status {
            200 => answer.json(),
            _ => Err(RigError::Refused { command: format!("{method} {path}"), output: answer.text() }),
        }
    }
}

impl Drop for FakeKms {
    fn drop(&mut self) {
        end(&mut self.program);
    }
}

fn end(program: &mut Child) {
    // It may have ended by itself.
    let _ = program.kill();
    let _ = program.wait();
}
