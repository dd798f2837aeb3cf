//! What a restore reads of a denial journal, which anybody may have written.
#![no_main]

use catalyst_pki::{backup::read_journal, store::JOURNALLED};
use libfuzzer_sys::fuzz_target;

const OURS: &str = "0123456789abcdef";

fuzz_target!(|bytes: &[u8]| {
    let journal = read_journal(bytes, OURS).unwrap();
    let lines = bytes.split(|octet| *octet == b'\n').count();
    assert!(journal.lines.len() + journal.notes.len() <= lines);
    let mut again = String::new();
    for line in &journal.lines {
        assert!(line.deployment == OURS && JOURNALLED.contains(&line.action.as_str()));
        again.push_str(&serde_json::to_string(line).unwrap());
        again.push('\n');
    }
    assert_eq!(read_journal(again.as_bytes(), OURS).unwrap().lines, journal.lines);
});
