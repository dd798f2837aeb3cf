//! The journal as a file: whatever is done to it, no line is lost, and no other file is written to.

use super::*;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const ID: &str = "00112233445566aa";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn line(seq: i64, action: &str, subject: &str, detail: Value) -> JournalLine {
    let at = NOW.millis() + seq;
    JournalLine { deployment: ID.into(), seq, at, action: action.into(), subject: subject.into(), detail }
}

fn denied(seq: i64, subject: &str, compromised: bool) -> JournalLine {
    line(seq, "identity.denied", subject, json!({"reason": "out", "compromised": compromised}))
}

fn allowed(seq: i64, subject: &str) -> JournalLine {
    line(seq, "identity.allowed", subject, json!({"released": 0}))
}

fn lines_in(directory: &TempDir) -> Vec<JournalLine> {
    let text = fs::read_to_string(directory.path().join(JOURNAL)).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn open_in(directory: &TempDir) -> Result<JournalFile, JournalError> {
    JournalFile::open(directory.path(), ID)
}

#[test]
fn what_is_appended_is_there_for_its_owner_alone_and_known_again() {
    let directory = TempDir::new().unwrap();
    let mut journal = open_in(&directory).unwrap();
    let lines = [denied(1, "a", false), allowed(2, "a"), denied(3, "b", false)];
    assert!(journal.lacks(&lines[0]));
    journal.append(&lines[..2]).unwrap();
    journal.append(&lines[2..]).unwrap();
    assert_eq!(lines_in(&directory), lines);
    let mode = fs::metadata(directory.path().join(JOURNAL)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(journal);
    let journal = open_in(&directory).unwrap();
    assert!(!journal.lacks(&denied(0, "b", false)));
    assert!(journal.lacks(&denied(0, "b", true)), "it is worse now");
    assert!(journal.lacks(&denied(0, "a", false)), "it was lifted");
    // Secrets of one kind are told apart.
    let secret = |sha256| line(0, "secret.revoked", "bootstrap", json!({ "sha256": sha256 }));
    let mut journal = journal;
    journal.append(&[secret("one")]).unwrap();
    assert!(!journal.lacks(&secret("one")) && journal.lacks(&secret("two")));
}

#[test]
fn a_last_line_that_was_cut_off_goes_and_one_that_is_whole_stays() {
    let whole = serde_json::to_string(&denied(1, "a", false)).unwrap();
    for cut in 0..=whole.len() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join(JOURNAL);
        fs::write(&path, format!("{whole}\n{}", &whole[..cut])).unwrap();
        open_in(&directory).unwrap().append(&[denied(2, "b", false)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let read = lines_in(&directory);
        assert_eq!(text.lines().count(), read.len(), "at {cut}: {text}");
        assert_eq!(read.len(), if cut == whole.len() { 3 } else { 2 });
        assert_eq!(read.last(), Some(&denied(2, "b", false)));
    }
}

#[test]
fn nothing_is_written_to_what_is_not_our_own() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(JOURNAL);
    let other = directory.path().join("other");
    fs::write(&other, "").unwrap();
    symlink(&other, &path).unwrap();
    let refused = open_in(&directory).unwrap_err();
    assert!(
        matches!(&refused, JournalError::Unfit { clause, .. } if clause.contains("symbolic link")),
        "{refused}"
    );
    assert_eq!(fs::read(&other).unwrap(), b"");

    fs::remove_file(&path).unwrap();
    let foreign = JournalLine { deployment: "ffffffffffffffff".into(), ..denied(1, "a", false) };
    let text = format!("{}\n", serde_json::to_string(&foreign).unwrap());
    fs::write(&path, &text).unwrap();
    let refused = open_in(&directory).unwrap_err().to_string();
    assert!(refused.contains("ffffffffffffffff") && refused.contains("CATALYST_PKI_BACKUP_DIR"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(open_in(&directory), Err(JournalError::Io { .. })));
    fs::remove_dir(&path).unwrap();
    drop(open_in(&directory).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(open_in(&directory).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let missing = JournalFile::open(&directory.path().join("none"), ID);
    assert!(matches!(missing, Err(JournalError::Io { .. })));
}

#[test]
fn one_process_writes_and_a_file_that_was_taken_away_is_noticed() {
    let directory = TempDir::new().unwrap();
    let mut journal = open_in(&directory).unwrap();
    let second = open_in(&directory).unwrap_err().to_string();
    assert!(second.contains("another process"), "{second}");
    fs::remove_file(directory.path().join(JOURNAL)).unwrap();
    assert!(journal.append(&[denied(1, "a", false)]).is_err());
    drop(journal);
    let mut journal = open_in(&directory).unwrap();
    assert!(journal.lacks(&denied(0, "a", false)));
    fs::write(directory.path().join("new"), "").unwrap();
    fs::rename(directory.path().join("new"), directory.path().join(JOURNAL)).unwrap();
    assert!(journal.append(&[]).is_err(), "without a line, too");
    // Cut, as by a program that turns over logs.
    drop(journal);
    let mut journal = open_in(&directory).unwrap();
    journal.append(&[denied(1, "a", false)]).unwrap();
    fs::write(directory.path().join(JOURNAL), "").unwrap();
    assert!(journal.append(&[denied(2, "b", false)]).is_err());
    drop(journal);
    assert!(open_in(&directory).unwrap().lacks(&denied(0, "a", false)));
}

#[test]
fn a_long_journal_is_rewritten_without_what_tells_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(JOURNAL);
    fs::write(&path, "{\"damaged\": true}\n").unwrap();
    let mut journal = open_in(&directory).unwrap();
    let mut lines = vec![denied(1, "worse", true), allowed(2, "worse"), denied(3, "worse", false)];
    for seq in 0..8_000 {
        lines.push(if seq % 2 == 0 { denied(seq, "flips", false) } else { allowed(seq, "flips") });
    }
    // Of another instance's time, appended once more.
    let (again, earlier) = (denied(8_500, "again", false), allowed(8_400, "again"));
    let revoked = |serial: &str, days: i64| {
        let not_after = NOW.plus_seconds(days * 86_400).millis();
        line(9_000, "certificate.revoked", serial, json!({"reason": 1, "notAfter": not_after}))
    };
    let (long_ago, lately) = (revoked("01", -401), revoked("02", -399));
    // What nobody would write ends nothing.
    let odd = line(i64::MAX - NOW.millis(), "token.revoked", "odd", json!({}));
    let ended = line(9_000, "certificate.revoked", "03", json!({"notAfter": i64::MIN}));
    lines.extend([
        long_ago,
        lately.clone(),
        lately.clone(),
        again.clone(),
        earlier.clone(),
        odd.clone(),
        ended,
    ]);
    lines.push(denied(9_001, "stays", false));
    journal.append(&lines).unwrap();
    journal.shorten(NOW).unwrap();
    let kept: Vec<_> = [0, 1, 2, 8_002].map(|place| lines[place].clone()).into();
    let expected = [kept, vec![lately, again, earlier, odd, denied(9_001, "stays", false)]].concat();
    assert_eq!(lines_in(&directory), expected);
    assert!(fs::read_to_string(&path).unwrap().starts_with("{\"damaged\": true}\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!directory.path().join("denied.jsonl.new").exists());
    // It is still the same journal to whoever has it open, and to nobody else.
    journal.append(&[denied(9_002, "later", false)]).unwrap();
    assert_eq!(lines_in(&directory).len(), expected.len() + 1);
    assert!(open_in(&directory).is_err());
    drop(journal);
    assert!(!open_in(&directory).unwrap().lacks(&denied(0, "worse", false)));
}
