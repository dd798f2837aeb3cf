//! Files that a command makes: whole or not at all, and nothing is lost that was there before.

use crate::{
    backup::rename_to_nothing,
    client::{ClientError, Result},
    identity::hex,
};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Its owner alone: keys.
    Owner,
    /// Whoever the umask allows.
    Anybody,
}

/// A place for a file, which was looked at: nothing is there, or a file that may be replaced.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    directory: PathBuf,
    replace: bool,
}

impl Place {
    /// Looks at a place. `replace`: a file that is there may be replaced.
    ///
    /// # Errors
    /// No directory, something that is no file, or a file that is to be kept.
    pub(super) fn look(path: &Path, replace: bool) -> Result<Self> {
        let shown = path.display();
        let wrong = |what: String, hint: &str| Err(ClientError::usage(what).with_hint(hint));
        let Some(name) = path.file_name().filter(|_| !ends_as_directory(path)) else {
            return wrong(format!("{shown} names no file"), "give the path of a file");
        };
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let directory = fs::canonicalize(directory).map_err(|error| {
            ClientError::usage(format!("cannot write {shown}: {}: {error}", directory.display()))
                .with_hint("make the directory, or name another")
        })?;
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return wrong(format!("cannot write {shown}: {error}"), "name another path"),
            Ok(there) if there.is_symlink() => {
                let what = format!("{shown} is a symbolic link, which a file would take the place of");
                return wrong(what, "give the path that it leads to");
            }
            Ok(there) if !there.is_file() => {
                return wrong(format!("{shown} is there and is no file"), "name another path");
            }
            Ok(_) if !replace => {
                return wrong(
                    format!("{shown} is there already, and is kept"),
                    "name another path, or replace it with --force",
                );
            }
            Ok(_) => {}
        }
        Ok(Self { path: directory.join(name), directory, replace })
    }

    /// Whether both are one file.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.path == other.path
    }

    /// Begins the file under another name beside its place; it goes away again unless it is put there.
    ///
    /// # Errors
    /// The directory takes no files.
    pub(super) fn begin(&self, readers: Readers) -> Result<Draft> {
        let failed = |error: io::Error| {
            ClientError::usage(format!("cannot write into {}: {error}", self.directory.display()))
                .with_hint("name a directory that you may write to")
        };
        let mut nonce = [0; 8];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|error| failed(io::Error::other(error)))?;
        let path = self.directory.join(format!(".catalyst-{}.new", hex(&nonce)));
        let mode = match readers {
            Readers::Owner => 0o600,
            Readers::Anybody => 0o644,
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(failed)?;
        Ok(Draft { place: self.clone(), path, file, stays: false })
    }

    /// Writes a file at once.
    ///
    /// # Errors
    /// No room, or something that has come to lie at the place.
    pub(super) fn write(&self, readers: Readers, contents: &[u8]) -> Result<()> {
        let mut draft = self.begin(readers)?;
        let written = draft.fill(contents).and_then(|()| draft.publish());
        written.map_err(|error| ClientError::failed(format!("cannot write {}: {error}", self.path.display())))
    }
}

/// `a/` and `a/.` are directories, whatever `Path` makes of them.
fn ends_as_directory(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.") || path.as_os_str() == OsStr::new(".")
}

/// A file that is not at its place yet.
#[derive(Debug)]
pub(super) struct Draft {
    place: Place,
    path: PathBuf,
    file: File,
    stays: bool,
}

impl Draft {
    /// Writes the contents, down to the disk.
    ///
    /// # Errors
    /// No room, or a disk that fails.
    pub(super) fn fill(&mut self, contents: &[u8]) -> io::Result<()> {
        self.file.write_all(contents)?;
        self.file.sync_all()
    }

    /// Writes a part of the contents; [`Draft::fill`] with the last.
    ///
    /// # Errors
    /// No room, or a disk that fails.
    pub(super) fn append(&mut self, part: &[u8]) -> io::Result<()> {
        self.file.write_all(part)
    }

    /// Puts the file at its place.
    ///
    /// # Errors
    /// Something lies there by now that is not to be replaced, or the directory refuses.
    pub(super) fn publish(&mut self) -> io::Result<()> {
        let to = self.place.path.clone();
        if self.place.replace {
            fs::rename(&self.path, &to)?;
        } else {
            rename_to_nothing(&self.path, &to)?;
        }
        (self.path, self.stays) = (to, true);
        File::open(&self.place.directory)?.sync_all()
    }

    /// Leaves the file where it is, which is answered; nothing where it went away with its directory.
    pub(super) fn keep(mut self) -> Option<PathBuf> {
        self.stays = true;
        fs::symlink_metadata(&self.path).is_ok().then(|| self.path.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.stays {
            // Nobody else knows the name; where removing fails, nothing else would work either.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use tempfile::tempdir;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let place = Place::look(&path, false).unwrap();
        drop(place.begin(Readers::Owner).unwrap());
        assert_eq!(names(directory.path()), [""; 0]);
        let mut draft = place.begin(Readers::Owner).unwrap();
        draft.fill(b"key").unwrap();
        assert!(!path.exists());
        draft.publish().unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), names(directory.path())),
            (b"key".to_vec(), vec!["key.pem".into()])
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_is_kept_unless_it_may_be_replaced() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let early = Place::look(&path, false).unwrap();
        fs::write(&path, "old").unwrap();
        assert!(Place::look(&path, false).unwrap_err().hint.unwrap().contains("--force"));
        // Also where it came after the look.
        assert!(early.write(Readers::Owner, b"new").is_err());
        assert_eq!((fs::read(&path).unwrap(), names(directory.path()).len()), (b"old".to_vec(), 1));
        Place::look(&path, true).unwrap().write(Readers::Owner, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn places_that_are_none_are_named() {
        let directory = tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        symlink(at("elsewhere"), at("link")).unwrap();
        for (path, part) in [
            (at("absent/key.pem"), "absent"),
            (at("link"), "symbolic link"),
            (directory.path().to_owned(), "no file"),
            (at("new/"), "names no file"),
            ("/dev/null".into(), "no file"),
            ("..".into(), "names no file"),
        ] {
            let error = Place::look(&path, true).unwrap_err();
            assert!(error.message.contains(part) && error.hint.is_some(), "{error}");
        }
    }

    #[test]
    fn one_file_by_two_paths_is_one_file() {
        let directory = tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        let look = |name: &str| Place::look(&directory.path().join(name), false).unwrap();
        assert!(look("a").is(&look("sub/../a")));
        assert!(!look("a").is(&look("sub/a")));
    }
}
