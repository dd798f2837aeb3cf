//! Encrypted backups: made while the service runs, and verified without it.
//!
//! A backup is `age( zstd( tar ) )`, so that `age -d | zstd -d | tar x` opens it without this program. First in it stand
//! the manifest, which says what else there is, and the manifest's signature by the services CA's key; whoever reads a
//! backup believes nothing before both hold. `docs/backup.md` has the format.

mod age_header;
mod archive;
mod crl;
mod error;
mod ground;
mod identities;
mod journal;
mod journal_reader;
mod key_export;
mod keys;
mod list;
mod manifest;
mod marks;
mod placement;
mod recipients;
mod restore;
mod schedule;
mod scratch;
mod seal;
mod shelf;
mod snapshot;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod verify;
mod watch;

pub use age_header::{AgeHeader, Recipient};
pub use archive::{Front, Unpack, unpack, write};
pub use error::{BackupError, Result};
pub use ground::Ground;
pub use identities::{Identities, passphrase_identity, read_identities};
pub use journal::{JournalError, JournalFile};
pub use journal_reader::{Journal, journal_in_file, read_journal};
pub use key_export::{ExportedKey, KeyName, TakeKey, export_key};
pub use keys::{KeyCheck, KeyFinding, OpenStore, check_keys, open_signer};
pub use list::{Listed, list, read_header};
pub use manifest::{
    AuditPoint, CaEntry, CrlEntry, FORMAT, MAX_MANIFEST, Manifest, Part, PartName, Pin, StoreEntry,
};
pub use marks::{remove_left_marks, unmark};
pub use recipients::{Lock, parse_recipients, recipients_in_file};
pub use restore::{Besides, InPlace, restore};
pub use schedule::Schedule;
pub use scratch::{Scratch, has_room};
pub use seal::{MAX_SEAL, Seal, Signature, Signer, Trust};
pub use shelf::{Held, Shelf, Sizes};
pub use snapshot::{KeyFile, Snapshot, Source};
pub(crate) use target::rename_to_nothing;
pub use target::{Draft, Target, file_name};
pub use verify::{Opened, Verification, inspect, verify};
pub use watch::{Octets, Unwatched, Watch, Written};
