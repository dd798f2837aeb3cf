//! Where policies come from: the program, or a directory of the operator.

use super::error::PolicyError;
use aws_lc_rs::digest::{Context, SHA256};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread,
    time::Duration,
};

/// The schema, which belongs to the program.
pub(super) const SCHEMA: (&str, &str) =
    ("schema.cedarschema", include_str!("../policies/schema.cedarschema"));

/// The policies of the program.
pub(super) const BUILT_IN: &[(&str, &str)] = &[
    ("admin.cedar", include_str!("../policies/admin.cedar")),
    ("credentials.cedar", include_str!("../policies/credentials.cedar")),
    ("custodians.cedar", include_str!("../policies/custodians.cedar")),
    ("node.cedar", include_str!("../policies/node.cedar")),
    ("user.cedar", include_str!("../policies/user.cedar")),
];

/// No file of policies is larger; people write these.
const LARGEST: u64 = 1 << 20;
/// No directory has more of them.
const MOST_FILES: usize = 256;
/// A directory that is being replaced is read so often, with a pause between, before it is given up.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// Files of policies, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// What stands before a file's name where it is shown; nothing for the program's own.
    pub(super) place: String,
    pub(super) files: BTreeMap<String, String>,
}

impl Source {
    pub(super) fn built_in() -> Self {
        let files = BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Self { place: String::new(), files: files.collect() }
    }

    /// Reads all `*.cedar` files of a directory, until two readings agree: one that is being replaced would give a
    /// mixture of old and new.
    pub(super) fn read(dir: &Path) -> Result<Self, PolicyError> {
        let mut last = Self::read_once(dir);
        for attempt in 1..=ATTEMPTS {
            let again = Self::read_once(dir);
            if again == last {
                return again;
            }
            last = again;
            if attempt < ATTEMPTS {
                thread::sleep(PAUSE);
            }
        }
        Err(PolicyError::of(dir.display(), "is being changed while it is read: let that come to its end"))
    }

    fn read_once(dir: &Path) -> Result<Self, PolicyError> {
        // Resolved once, so that a link that is pointed elsewhere meanwhile does not change the directory under way.
        let resolved = fs::canonicalize(dir).map_err(|error| PolicyError::unreadable(dir, &error))?;
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&resolved).map_err(|error| PolicyError::unreadable(dir, &error))? {
            let name = entry.map_err(|error| PolicyError::unreadable(dir, &error))?.file_name();
            let shown = dir.join(&name);
            // Editors and Kubernetes keep files of their own under names with a leading dot.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match shown.extension().and_then(|extension| extension.to_str()) {
                Some("cedar") => {
                    let name = name.into_string().map_err(|_| {
                        PolicyError::of(shown.display(), "the name is not UTF-8: give the file another one")
                    })?;
                    files.insert(name.clone(), read_file(&resolved.join(&name), &shown)?);
                }
                Some("cedarschema") => check_schema(&read_file(&resolved.join(&name), &shown)?, &shown)?,
                _ => {}
            }
            if files.len() > MOST_FILES {
                return Err(PolicyError::of(
                    dir.display(),
                    format!("holds more than {MOST_FILES} *.cedar files"),
                ));
            }
        }
        if files.is_empty() {
            return Err(PolicyError::of(
                dir.display(),
                "holds no *.cedar file: 'catalyst policy export' writes the program's own there, and without \
                 CATALYST_POLICY_DIR those hold anyway",
            ));
        }
        Ok(Self { place: format!("{}/", dir.display()), files })
    }

    /// A file as the operator knows it.
    pub(super) fn shown(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    /// SHA-256, hex, over names and contents.
    pub(super) fn hash(&self) -> String {
        let mut context = Context::new(&SHA256);
        for part in self.files.iter().flat_map(|(name, text)| [name, text]) {
            // With its length before it, no text can pass for another file's name.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn read_file(path: &Path, shown: &Path) -> Result<String, PolicyError> {
    let unreadable = |error| PolicyError::unreadable(shown, &error);
    let file = open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(PolicyError::of(shown.display(), "is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(PolicyError::of(shown.display(), "is larger than 1 MiB: split it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        PolicyError::of(shown.display(), format!("is not UTF-8: the byte at {good} belongs to no character"))
    })
}

/// Opening a pipe that nobody writes to would wait for ever otherwise.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

fn check_schema(text: &str, shown: &Path) -> Result<(), PolicyError> {
    if text == SCHEMA.1 {
        return Ok(());
    }
    Err(PolicyError::of(
        shown.display(),
        "is not the schema of this version; the schema belongs to the program and can't be replaced: remove the file, \
         or take the one that 'catalyst policy export' writes",
    ))
}
