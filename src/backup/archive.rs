//! The archive: age( zstd( tar ) ), written and read as a stream. Whoever reads one believes nothing in it: names,
//! kinds, order, sizes and hashes are those of the manifest, and one octet more ends it.

use super::{
    BackupError, Identities, Lock, MAX_MANIFEST, MAX_SEAL, Manifest, Part, Result, Seal, Snapshot, Watch,
    recipients::one_line,
    watch::{Counted, go_on},
};
use crate::identity::hex;
use age::Decryptor;
use aws_lc_rs::digest;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};
use tar::{Archive, Builder, Entry, EntryType, Header};
use zstd::stream::{read::Decoder, write::Encoder};

/// zstd's level: the store is text and random bytes, of which more work saves little.
const LEVEL: i32 = 3;
/// The most memory that a reader's window may take: 2^23 octets. The level above needs 2^21.
const WINDOW: u32 = 23;
/// tar ends with zero octets, up to a whole record (POSIX.1-2017, pax).
const MAX_PADDING: u64 = 20 * 512;
const MANIFEST: &str = "manifest.json";
const SEAL: &str = "manifest.sig";

/// Encrypts a snapshot to `to`, and answers `to` after the last octet.
///
/// # Errors
/// The snapshot can't be read, or `to` not written.
pub fn write<W: Write>(
    to: W,
    lock: &Lock,
    snapshot: &Snapshot,
    manifest: &[u8],
    seal: &[u8],
    watch: &dyn Watch,
) -> Result<W> {
    let failed = |source: io::Error| {
        let what = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "there is no room for the backup, and none was made; make room, or name another place"
            }
            _ => "cannot write the backup",
        };
        BackupError::Io { what: what.into(), source }
    };
    let written = || -> io::Result<Result<W>> {
        let encryptor = match lock.encryptor() {
            Ok(encryptor) => encryptor,
            Err(error) => return Ok(Err(error)),
        };
        let encoder = Encoder::new(encryptor.wrap_output(to)?, LEVEL)?;
        let mut tar = Builder::new(encoder);
        let seconds = snapshot.manifest.created_at.seconds().max(0).unsigned_abs();
        append(&mut tar, MANIFEST, manifest.len() as u64, seconds, manifest)?;
        append(&mut tar, SEAL, seal.len() as u64, seconds, seal)?;
        for part in &snapshot.manifest.parts {
            let name = part.name.to_string();
            match snapshot.key_files.iter().find(|file| file.name == part.name) {
                Some(file) => append(&mut tar, &name, part.size, seconds, file.bytes.as_slice())?,
                None => {
                    let file = File::open(snapshot.certs_db())?;
                    let stream = Counted::new(file, watch, "encrypting", part.size);
                    append(&mut tar, &name, part.size, seconds, stream)?;
                }
            }
        }
        Ok(Ok(tar.into_inner()?.finish()?.finish()?))
    };
    let written = written();
    go_on(watch)?;
    written.map_err(failed)?
}

fn append<W: Write>(tar: &mut Builder<W>, name: &str, size: u64, at: u64, from: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_mtime(at);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    tar.append(&header, from)
}

/// What stands first in a backup.
#[derive(Clone, Debug)]
pub struct Front {
    /// The manifest.
    pub manifest: Manifest,
    /// Its bytes, which are what is signed.
    pub bytes: Vec<u8>,
    /// Who vouches for it.
    pub seal: Seal,
}

/// Takes what a backup holds.
pub trait Unpack {
    /// Sees the front before anything else is read; `false` ends it there.
    ///
    /// # Errors
    /// It is not to be believed, or there is no room.
    fn front(&mut self, front: &Front) -> Result<bool>;

    /// Where a part goes. Its size and hash are checked by the caller, after the last octet.
    ///
    /// # Errors
    /// It can't be written.
    fn part(&mut self, part: &Part) -> Result<Box<dyn Write>>;
}

/// Decrypts a file.
pub(super) fn decrypt(path: &Path, identities: &Identities) -> Result<impl Read + use<>> {
    let file = File::open(path).map_err(BackupError::io("read", path))?;
    let decryptor = Decryptor::new_buffered(BufReader::new(file));
    let decryptor = decryptor.map_err(|error| BackupError::damaged(one_line(&error)))?;
    let opened = decryptor.decrypt(identities.0.iter().map(|one| &**one));
    opened.map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => BackupError::Closed(
            "none of the identities opens the backup: it is encrypted to others; 'catalyst backup verify --header-only' shows their kinds".into(),
        ),
        age::DecryptError::DecryptionFailed => {
            BackupError::Closed("the passphrase does not open the backup".into())
        }
        age::DecryptError::ExcessiveWork { required, .. } => BackupError::Closed(format!(
            "opening the backup with its passphrase would take more work (2^{required}) than is spent on a file that may be anybody's"
        )),
        age::DecryptError::Io(error) => BackupError::reading(error),
        other => BackupError::damaged(one_line(&other)),
    })
}

/// Reads what was decrypted: the front, then each part that the manifest lists, and nothing else.
///
/// # Errors
/// [`BackupError::Damaged`] with what is wrong, and what `unpack` answers.
pub fn unpack<R: Read>(stream: R, unpack: &mut dyn Unpack, watch: &dyn Watch) -> Result<()> {
    let read = unpack_all(stream, unpack, watch);
    go_on(watch)?;
    read
}

fn unpack_all<R: Read>(stream: R, unpack: &mut dyn Unpack, watch: &dyn Watch) -> Result<()> {
    let mut decoder = Decoder::with_buffer(BufReader::new(stream)).map_err(BackupError::reading)?;
    decoder.window_log_max(WINDOW).map_err(BackupError::reading)?;
    let mut archive = Archive::new(decoder.single_frame());
    // Raw: no entry says anything of another one, as pax headers and GNU's long names do.
    let entries = archive.entries().map_err(BackupError::reading)?.raw(true);
    match unpack_entries(entries, unpack, watch)? {
        true => end(archive.into_inner()),
        false => Ok(()),
    }
}

/// `false`: the front was all that is wanted.
fn unpack_entries<R: Read>(
    mut entries: tar::Entries<'_, R>,
    unpack: &mut dyn Unpack,
    watch: &dyn Watch,
) -> Result<bool> {
    let bytes = small(next(&mut entries, MANIFEST)?, MAX_MANIFEST)?;
    let manifest = Manifest::parse(&bytes)?;
    let seal = Seal::parse(&small(next(&mut entries, SEAL)?, MAX_SEAL)?)?;
    let front = Front { manifest, bytes, seal };
    if !unpack.front(&front)? {
        return Ok(false);
    }
    for part in &front.manifest.parts {
        let entry = next(&mut entries, &part.name.to_string())?;
        let mut to = unpack.part(part)?;
        copy_part(entry, part, &mut *to, watch)?;
    }
    match entries.next() {
        None => Ok(true),
        Some(entry) => {
            Err(BackupError::Damaged(format!("it has {} besides what its manifest lists", said(&entry))))
        }
    }
}

/// The next entry, which must be a regular file of this name.
fn next<'a, R: Read>(entries: &mut tar::Entries<'a, R>, name: &str) -> Result<Entry<'a, R>> {
    let Some(entry) = entries.next() else {
        return Err(BackupError::Damaged(format!("{name} is missing in it")));
    };
    let is_it = |entry: &Entry<'_, R>| {
        entry.header().entry_type() == EntryType::Regular
            && *entry.header().path_bytes() == *name.as_bytes()
            && entry.header().link_name_bytes().is_none()
    };
    match entry {
        Ok(entry) if is_it(&entry) => Ok(entry),
        Err(error) => Err(BackupError::reading(error)),
        other => Err(BackupError::Damaged(format!("it has {} where {name} is wanted", said(&other)))),
    }
}

/// What an entry calls itself.
fn said<R: Read>(entry: &io::Result<Entry<'_, R>>) -> String {
    let Ok(entry) = entry else { return "something that is no entry".into() };
    let kind = match entry.header().entry_type() {
        EntryType::Regular => "a file",
        EntryType::Link | EntryType::Symlink => "a link",
        EntryType::Directory => "a directory",
        _ => "an entry of another kind",
    };
    let name: String = String::from_utf8_lossy(&entry.header().path_bytes()).chars().take(100).collect();
    format!("{kind} '{}'", name.escape_debug())
}

fn small<R: Read>(entry: Entry<'_, R>, most: u64) -> Result<Vec<u8>> {
    let size = entry.header().size().map_err(BackupError::reading)?;
    if size > most {
        return Err(BackupError::Damaged(format!(
            "{} has {size} octets, and {most} at most are taken",
            said(&Ok::<_, io::Error>(entry))
        )));
    }
    let mut bytes = Vec::new();
    entry.take(most).read_to_end(&mut bytes).map_err(BackupError::reading)?;
    if bytes.len() as u64 != size {
        return Err(BackupError::damaged("it is cut off"));
    }
    Ok(bytes)
}

fn copy_part<R: Read>(
    mut entry: Entry<'_, R>,
    part: &Part,
    to: &mut dyn Write,
    watch: &dyn Watch,
) -> Result<()> {
    let size = entry.header().size().map_err(BackupError::reading)?;
    if size != part.size {
        return Err(BackupError::Damaged(format!(
            "{} has {size} octets, and {} by its manifest",
            part.name, part.size
        )));
    }
    let failed =
        |source| BackupError::Io { what: format!("cannot write {} of the backup", part.name), source };
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 128 << 10];
    let mut done = 0_u64;
    loop {
        go_on(watch)?;
        let octets = entry.read(&mut buffer).map_err(BackupError::reading)?;
        if octets == 0 {
            break;
        }
        done += octets as u64;
        if done > part.size {
            return Err(BackupError::Damaged(format!("{} is longer than its manifest says", part.name)));
        }
        context.update(&buffer[..octets]);
        to.write_all(&buffer[..octets]).map_err(failed)?;
        watch.has_done("unpacking", done, part.size);
    }
    to.flush().map_err(failed)?;
    if done != part.size || !hex(context.finish().as_ref()).eq_ignore_ascii_case(&part.sha256) {
        return Err(BackupError::Damaged(format!("{} is not what its manifest says", part.name)));
    }
    Ok(())
}

/// Behind the last part there is nothing but the ends of tar, zstd and age. Only with age's is it known that none was
/// cut off.
fn end<R: BufRead>(mut decoder: Decoder<'_, R>) -> Result<()> {
    let mut padding = Vec::new();
    (&mut decoder).take(MAX_PADDING + 1).read_to_end(&mut padding).map_err(BackupError::reading)?;
    if padding.len() as u64 > MAX_PADDING || padding.iter().any(|octet| *octet != 0) {
        return Err(BackupError::damaged("there is something behind its last file"));
    }
    let mut rest = decoder.finish();
    match rest.read(&mut [0]).map_err(BackupError::reading)? {
        0 => Ok(()),
        _ => Err(BackupError::damaged("there is something behind its last file")),
    }
}
