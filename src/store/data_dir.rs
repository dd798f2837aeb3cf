//! The data directory: one process at a time, and on a local disk.

use super::{Result, StoreError};
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

const LOCK_FILE: &str = "catalyst.lock";
/// Lies in a data directory while the files of a restored store are put in place. Nothing works on the directory then
/// but the restore that ends or undoes it.
pub const UNFINISHED_RESTORE: &str = "restore-unfinished";

/// The exclusive right to work on a data directory; given back when dropped, or when the process ends however.
#[derive(Debug)]
pub struct DataDirLock {
    // The lock lives as long as the open file.
    _file: File,
}

impl DataDirLock {
    /// Takes the lock on `dir`, which is made (0700) if it is missing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the process that holds it, [`StoreError::NetworkFileSystem`],
    /// [`StoreError::ReadOnly`] where the lock file can't be written, and [`StoreError::HalfRestored`].
    pub fn acquire(dir: &Path) -> Result<Self> {
        let lock = Self::acquire_for_restore(dir)?;
        let marker = dir.join(UNFINISHED_RESTORE);
        match marker.try_exists() {
            Ok(false) => Ok(lock),
            Ok(true) => Err(StoreError::HalfRestored { directory: dir.display().to_string() }),
            Err(error) => Err(file_error(&error, &marker)),
        }
    }

    /// The same for whoever ends a restore that came to no end.
    ///
    /// # Errors
    /// As [`DataDirLock::acquire`], but for [`StoreError::HalfRestored`].
    pub fn acquire_for_restore(dir: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| file_error(&error, dir))?;
        refuse_network_file_system(dir)?;
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| file_error(&error, &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    directory: dir.display().to_string(),
                    holder: read_holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(file_error(&error, &path)),
        }
        write_holder(&mut file).map_err(|error| file_error(&error, &path))?;
        Ok(Self { _file: file })
    }
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(200).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let program = std::env::args_os()
        .next()
        .and_then(|path| Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "catalyst".to_owned());
    file.set_len(0)?;
    writeln!(file, "process {} ({program})", std::process::id())
}

/// What the operating system said of a file or directory of the store.
pub(super) fn file_error(error: &io::Error, what: &Path) -> StoreError {
    let reason = format!("{}: {error}", what.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly { reason }
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Storage(reason),
    }
}

#[cfg(target_os = "linux")]
fn refuse_network_file_system(dir: &Path) -> Result<()> {
    let stat = rustix::fs::statfs(dir).map_err(|error| file_error(&error.into(), dir))?;
    // The kernel's magic numbers have 32 bits; the field that carries them is wider, and signed on some machines.
    match network_file_system(stat.f_type as u32) {
        Some(kind) => {
            Err(StoreError::NetworkFileSystem { directory: dir.display().to_string(), kind: kind.to_owned() })
        }
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_network_file_system(_: &Path) -> Result<()> {
    Ok(())
}

/// The network file system that has this magic number (statfs(2)); `None` for all others.
#[cfg(any(target_os = "linux", test))]
fn network_file_system(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => "SMB",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x0102_1997 => "9p",
        0x564c => "NCP",
        0x7375_7245 => "Coda",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x786f_4256 => "VirtualBox shared folder",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        for (magic, kind) in
            [(0x6969, "NFS"), (0xff53_4d42, "SMB"), (0x00c3_6400, "Ceph"), (0x0102_1997, "9p")]
        {
            assert_eq!(network_file_system(magic), Some(kind));
        }
        // ext4, tmpfs, btrfs, overlayfs, xfs
        for local in [0xef53, 0x0102_1994, 0x9123_683e, 0x794c_7630, 0x5846_5342] {
            assert_eq!(network_file_system(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_second_opener_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DataDirLock::acquire(dir.path()).unwrap();
        let Err(StoreError::Locked { holder, directory }) = DataDirLock::acquire(dir.path()) else {
            panic!("taken twice")
        };
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        assert_eq!(directory, dir.path().display().to_string());
        drop(lock);
        DataDirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_made_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let _lock = DataDirLock::acquire(&inner).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&inner.join(LOCK_FILE)), 0o600);
    }
}
