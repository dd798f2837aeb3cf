//! Sealed files of the audit log: a record a line, then a signed head of the last of them. Read one at a time, for
//! together they may hold hundreds of millions of records.

use super::{
    audit::Chain,
    heads::{Finding, HeadKeys, check},
};
use crate::api::{AuditItem, AuditPoint, SignedHead};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// The sealed files of a directory in the order of their records, which their names tell.
///
/// # Errors
/// The directory's.
pub fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_sealed = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("audit-") && name.ends_with(".jsonl")
    };
    let mut sealed: Vec<PathBuf> = paths.into_iter().filter(is_sealed).collect();
    sealed.sort();
    Ok(sealed)
}

/// Where the chain of this file begins: the record before its first, as that one names it.
///
/// # Errors
/// What the file can't be.
pub fn base(path: &Path) -> Result<AuditPoint, String> {
    let mut lines = BufReader::new(open(path)?).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let record: AuditItem = serde_json::from_str(&first).map_err(|_| unlike(path, 1))?;
    Ok(AuditPoint { seq: record.seq.saturating_sub(1), hash: record.prev_hash })
}

/// Follows the chain through this file, to its seal.
///
/// # Errors
/// A sentence: where the chain breaks, or what is wrong with the seal.
pub fn follow(path: &Path, chain: &mut Chain, keys: &HeadKeys) -> Result<Finding, String> {
    let mut lines = BufReader::new(open(path)?).lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let line = line.map_err(|error| format!("{}: {error}", path.display()))?;
        if lines.peek().is_some() {
            let record: AuditItem = serde_json::from_str(&line).map_err(|_| unlike(path, index + 1))?;
            chain.follow(&record).map_err(|broken| format!("{}: {broken}", path.display()))?;
            continue;
        }
        let seal: SignedHead = serde_json::from_str(&line)
            .map_err(|_| format!("{}: it ends without a seal, so records may be missing", path.display()))?;
        if (seal.seq, &seal.hash) != (chain.end().seq, &chain.end().hash) {
            return Err(format!("{}: its seal is of another record than its last", path.display()));
        }
        return match check(&seal, keys, chain) {
            Finding::BadSignature => Err(format!("{}: its seal has a bad signature", path.display())),
            finding => Ok(finding),
        };
    }
    Err(format!("{}: it is empty", path.display()))
}

fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn unlike(path: &Path, line: usize) -> String {
    format!("{}: line {line} is no audit record", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{audit::tests::stored, heads::tests::HeadKey};

    fn write(directory: &Path, records: &[AuditItem], key: &HeadKey) -> PathBuf {
        let (first, last) = (records.first().unwrap(), records.last().unwrap());
        let path = directory.join(format!("audit-{:012}-{:012}-1.jsonl", first.seq, last.seq));
        let lines: Vec<String> =
            records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        let seal = serde_json::to_string(&key.sign(last.seq, &last.hash)).unwrap();
        fs::write(&path, format!("{}\n{seal}\n", lines.join("\n"))).unwrap();
        path
    }

    #[test]
    fn files_are_followed_one_after_the_other() {
        let (directory, key, records) = (tempfile::tempdir().unwrap(), HeadKey::new(), stored(9));
        write(directory.path(), &records[..4], &key);
        write(directory.path(), &records[4..9], &key);
        fs::write(directory.path().join("notes.txt"), "x").unwrap();
        let files = files(directory.path()).unwrap();
        assert_eq!(files.len(), 2);
        let keys = HeadKeys::from_jwks(&key.jwks());
        let mut chain = Chain::new(base(&files[0]).unwrap(), [4, 9]);
        for file in &files {
            assert_eq!(follow(file, &mut chain, &keys), Ok(Finding::Holds));
        }
        assert_eq!((chain.end().seq, chain.records()), (9, 9));
        // Without the first, the second begins where it says it does.
        let mut later = Chain::new(base(&files[1]).unwrap(), [9]);
        assert_eq!(follow(&files[1], &mut later, &keys), Ok(Finding::Holds));
    }

    #[test]
    fn a_file_that_was_touched_is_found_out() {
        let (directory, key, records) = (tempfile::tempdir().unwrap(), HeadKey::new(), stored(9));
        let keys = HeadKeys::from_jwks(&key.jwks());
        let path = write(directory.path(), &records, &key);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let found = |lines: &[&str]| {
            fs::write(&path, lines.join("\n")).unwrap();
            let mut chain = Chain::new(base(&path).unwrap(), [9]);
            follow(&path, &mut chain, &keys).unwrap_err()
        };
        let altered = lines[4].replace(&records[4].subject, "another");
        assert!(found(&[&lines[..4], &[&altered], &lines[5..]].concat()).contains("record 5"));
        assert!(found(&[&lines[..4], &lines[5..]].concat()).contains("record 5 is missing"));
        assert!(found(&lines[..9]).contains("without a seal"));
        assert!(found(&[&lines[..8], &lines[9..]].concat()).contains("another record"));
        let forged = HeadKey::new().sign(9, &records[8].hash);
        let forged = serde_json::to_string(&SignedHead { kid: key.sign(9, "").kid, ..forged }).unwrap();
        assert!(found(&[&lines[..9], &[&forged]].concat()).contains("bad signature"));
    }
}
