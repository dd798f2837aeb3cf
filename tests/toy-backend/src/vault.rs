//! What stands for somebody else's key store: it knows nothing of the signing contract.

use aws_lc_rs::{
    digest::{Digest, SHA384},
    encoding::AsDer as _,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

/// A question: one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Question {
    /// Makes a key under a name that is free.
    Make {
        /// What it will be asked for by.
        name: String,
        /// `p384` or `ed25519`.
        kind: String,
        /// Whatever its maker wants to be written beside it.
        tags: BTreeMap<String, String>,
    },
    /// Describes a key.
    Show {
        /// Its name.
        name: String,
    },
    /// Describes every key.
    List,
    /// Signs.
    Sign {
        /// The key's name.
        name: String,
        /// A SHA-384 digest for `p384`, the message for `ed25519`.
        input: Vec<u8>,
    },
    /// Switches a key off for good.
    Destroy {
        /// Its name.
        name: String,
    },
}

/// An answer: one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// One key.
    Key(Described),
    /// Every key.
    Keys(Vec<Described>),
    /// A signature.
    Signature {
        /// The key that made it.
        name: String,
        /// ECDSA-Sig-Value (DER), or the 64 octets of Ed25519.
        octets: Vec<u8>,
    },
    /// It was not done: `missing`, `exists`, `destroyed`, `busy`, `input`.
    Failed(String),
}

/// What the vault tells of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Described {
    /// What it is asked for by.
    pub name: String,
    /// `p384` or `ed25519`.
    pub kind: String,
    /// What its maker wrote beside it.
    pub tags: BTreeMap<String, String>,
    /// SubjectPublicKeyInfo (DER).
    pub spki: Vec<u8>,
    /// When it was made, in seconds of Unix time.
    pub made: u64,
    /// Whether it came from elsewhere.
    pub imported: bool,
    /// Whether it was switched off.
    pub destroyed: bool,
}

/// A vault that serves until it is dropped.
#[derive(Debug)]
pub struct Vault {
    socket: PathBuf,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    keys: BTreeMap<String, (Described, Pair)>,
    /// What each question is answered with instead.
    trouble: Option<String>,
}

#[derive(Debug)]
enum Pair {
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Vault {
    /// One with no keys, at a socket that it makes.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(socket: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let held = Arc::new(Mutex::default());
        let serving: Arc<Mutex<Held>> = held.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let held = serving.clone();
                thread::spawn(move || serve(&connection, &held));
            }
        });
        Ok(Self { socket: socket.to_owned(), held })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Answers every question so from now on: `Some("busy")`.
    pub fn fail(&self, with: Option<&str>) {
        lock(&self.held).trouble = with.map(str::to_owned);
    }

    /// Changes what the vault says of a key.
    pub fn alter(&self, name: &str, change: impl FnOnce(&mut Described)) {
        if let Some((described, _)) = lock(&self.held).keys.get_mut(name) {
            change(described);
        }
    }
}

impl Drop for Vault {
    /// From now on nobody answers.
    fn drop(&mut self) {
        // What can't be removed goes with its directory.
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut connection: &UnixStream, held: &Mutex<Held>) {
    let mut line = String::new();
    let Ok(_) = BufReader::new(connection).read_line(&mut line) else { return };
    let answer = match serde_json::from_str(&line) {
        Ok(question) => lock(held).answer(question),
        Err(_) => Answer::Failed("input".into()),
    };
    // Who has gone away wants no answer.
    let _ = serde_json::to_vec(&answer).map(|text| connection.write_all(&[&text[..], b"\n"].concat()));
}

impl Held {
    fn answer(&mut self, question: Question) -> Answer {
        let failed = |why: &str| Answer::Failed(why.into());
        if let Some(trouble) = &self.trouble {
            return failed(trouble);
        }
        match question {
            Question::List => {
                Answer::Keys(self.keys.values().map(|(described, _)| described.clone()).collect())
            }
            Question::Make { name, .. } if self.keys.contains_key(&name) => failed("exists"),
            Question::Make { name, kind, tags } => match Pair::generate(&kind) {
                Some((pair, spki)) => {
                    let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    let described =
                        Described { name, kind, tags, spki, made, imported: false, destroyed: false };
                    self.keys.insert(described.name.clone(), (described.clone(), pair));
                    Answer::Key(described)
                }
                None => failed("input"),
            },
            Question::Show { name } => self.of(&name, |described, _| Answer::Key(described.clone())),
            Question::Sign { name, input } => self.of(&name, |described, pair| match pair.sign(&input) {
                _ if described.destroyed => failed("destroyed"),
                Some(octets) => Answer::Signature { name: described.name.clone(), octets },
                None => failed("input"),
            }),
            Question::Destroy { name } => self.of(&name, |described, _| {
                described.destroyed = true;
                Answer::Key(described.clone())
            }),
        }
    }

    fn of(&mut self, name: &str, then: impl FnOnce(&mut Described, &Pair) -> Answer) -> Answer {
        match self.keys.get_mut(name) {
            Some((described, pair)) => then(described, pair),
            None => Answer::Failed("missing".into()),
        }
    }
}

impl Pair {
    fn generate(kind: &str) -> Option<(Self, Vec<u8>)> {
        match kind {
            "p384" => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).ok()?;
                let spki = pair.public_key().as_der().ok()?.as_ref().to_vec();
                Some((Self::P384(pair), spki))
            }
            "ed25519" => {
                let pair = Ed25519KeyPair::generate().ok()?;
                let spki = pair.public_key().as_der().ok()?.as_ref().to_vec();
                Some((Self::Ed25519(pair), spki))
            }
            _ => None,
        }
    }

    fn sign(&self, input: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P384(pair) => {
                let digest = Digest::import_less_safe(input, &SHA384).ok()?;
                Some(pair.sign_digest(&digest).ok()?.as_ref().to_vec())
            }
            Self::Ed25519(pair) => {
                (1..=4096).contains(&input.len()).then(|| pair.sign(input).as_ref().to_vec())
            }
        }
    }
}
