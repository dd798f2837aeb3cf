//! What a test tells the fake, and what the fake tells a test: JSON under `/fake/`.

use super::api::{Algorithm, Code, Method, ProtectionLevel, State};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// In which calls.
    pub on: On,
    /// In which of them.
    pub when: When,
    /// What happens.
    pub effect: Effect,
}

/// The calls that a rule is for: those that agree with all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct On {
    /// The method.
    pub method: Option<Method>,
    /// The resource, or one that it is in: a key stands for its versions too.
    pub resource: Option<String>,
    /// The permission that the call needs.
    pub permission: Option<String>,
    /// Who calls.
    pub caller: Option<String>,
}

/// Which of the calls that a rule is for. Every rule counts its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// Every one.
    Always,
    /// The first so many.
    First(u32),
    /// This one alone, from 1.
    Nth(u32),
}

/// What happens to a call. Where several rules have one, delays add up, and the first that ends the call wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// It is refused, and nothing is done.
    Refuse(Refusal),
    /// It is done, and the answer says that it was refused.
    RefuseAfterwards(Refusal),
    /// It takes so much longer.
    Slow(Duration),
    /// No answer comes, and nothing is done.
    Hang,
    /// It is done, and no answer comes.
    HangAfterwards,
    /// The connection is reset before anything is done.
    Reset,
    /// It is done, and the connection is reset.
    LoseAnswer,
    /// It is done, and the answer breaks off half way.
    TruncateAnswer,
    /// A proxy answers with a page of HTML and this status; nothing is done.
    ProxyPage(u16),
    /// A bit of the digest or of the data is flipped on the way to the service.
    DamageRequest,
    /// It is done, and this is wrong in the answer.
    Tamper(Tamper),
}

/// An error of Google's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The code. PERMISSION_DENIED names the call's permission and resource.
    pub code: Code,
    /// How long the caller is asked to wait.
    pub retry_delay: Option<Duration>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, retry_delay: None }
    }
}

/// What is wrong in an answer: of `asymmetricSign` or `publicKey`; of any method, if it has the field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tamper {
    /// The checksum: of the signature, of the PEM, or of the public key's octets.
    Checksum(Wrong),
    /// `verifiedDigestCrc32c` and `verifiedDataCrc32c`: wrong is `false`.
    Verified(Wrong),
    /// The name is this.
    Name(String),
    /// The name is not there.
    NoName,
    /// The protection level is this.
    ProtectionLevel(ProtectionLevel),
    /// The protection level is not there.
    NoProtectionLevel,
    /// The algorithm of a public key is this.
    Algorithm(Algorithm),
    /// A bit of the signature or of the public key is flipped after its checksum was made.
    FlippedBit,
    /// The same before its checksum was made: the checksum is right.
    FlippedBitWithChecksum,
    /// Signature or public key are of another key of the same algorithm, with the right checksum.
    OtherKey,
    /// The state of a version is this, and it does what it did: changes take hours to arrive everywhere.
    State(State),
}

/// How a field is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wrong {
    /// Another value.
    Other,
    /// Zero, or `false`.
    Zero,
    /// It is not there.
    Missing,
}

/// How the service behaves from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long a new version is PENDING_GENERATION.
    pub generation: Generation,
    /// How many calls do not see a resource that is new.
    pub invisible_for: u32,
    /// The algorithms that protection level HSM does not have.
    pub software_only: Vec<Algorithm>,
}

impl Default for Settings {
    fn default() -> Self {
        use Algorithm::{PqSignMlDsa65, PqSignMlDsa65ExternalMu, PqSignMlDsa87, PqSignMlDsa87ExternalMu};
        Self {
            generation: Generation::AfterCalls(1),
            invisible_for: 0,
            // Google published ML-DSA for keys in software.
            software_only: vec![
                PqSignMlDsa65,
                PqSignMlDsa65ExternalMu,
                PqSignMlDsa87,
                PqSignMlDsa87ExternalMu,
            ],
        }
    }
}

/// How long versions are PENDING_GENERATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generation {
    /// For so many calls that look at the version, and as long as its key is not made.
    AfterCalls(u32),
    /// Until this is set to something else.
    Held,
    /// Until the first call that looks at the version, which finds it GENERATION_FAILED.
    Failing,
}

/// A key that is there without anybody having made it: its key ring comes into being with it, its one version is
/// enabled at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plant {
    /// The CryptoKey's name.
    pub key: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its protection level.
    pub protection_level: ProtectionLevel,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What is other than it was with a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alteration {
    /// Its state.
    pub state: Option<State>,
    /// It was imported with this job.
    pub import_job: Option<String>,
    /// It and its CryptoKey were made so many seconds later than they were: a negative number for earlier.
    pub made_later: Option<i64>,
    /// It has another key.
    pub other_key: bool,
}

/// Somebody may do something. As long as there is no binding, everybody may do everything; from the first on, only
/// what a binding allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Who calls: the bearer token, or the account that signed it for itself; `None`: those who come without.
    pub caller: Option<String>,
    /// What is allowed.
    pub grant: Grant,
    /// On this resource and on what is in it: a project, a key ring, a CryptoKey.
    pub resource: String,
}

/// What a binding allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grant {
    /// The permissions of a role of Google's: `roles/cloudkms.signer`.
    Role(String),
    /// These permissions: a custom role.
    Permissions(Vec<String>),
}

/// A call that reached the fake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The resource of its path.
    pub resource: String,
    /// Who called.
    pub caller: Option<String>,
    /// Whether it was done, whatever became of the answer.
    pub acted: bool,
    /// The code with which the service refused it.
    pub code: Option<Code>,
}
