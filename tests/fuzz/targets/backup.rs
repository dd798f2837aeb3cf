//! What a backup's reader is given: the archive, its manifest and seal, and the header of the age file around it.
#![no_main]

use catalyst_pki::backup::{AgeHeader, Front, Manifest, Part, Result, Seal, Trust, Unpack, Unwatched, unpack};
use libfuzzer_sys::fuzz_target;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

/// Counts what comes out, by what was promised.
#[derive(Default)]
struct Counted {
    promised: u64,
    taken: Arc<Mutex<u64>>,
}

impl Unpack for Counted {
    fn front(&mut self, front: &Front) -> Result<bool> {
        // Nobody without a CA's key is vouched for.
        assert!(!matches!(front.seal.check(&front.bytes, &front.manifest, Trust::FirstUse), Ok(Some(_))));
        self.promised = front.manifest.size().expect("sizes were checked");
        Ok(true)
    }

    fn part(&mut self, part: &Part) -> Result<Box<dyn Write>> {
        let name = part.name.to_string();
        let in_keys = name.strip_prefix("keys/").is_some_and(|file| !file.starts_with('.') && !file.contains('/'));
        assert!(name == "certs.db" || in_keys, "{name}");
        Ok(Box::new(To(self.taken.clone())))
    }
}

struct To(Arc<Mutex<u64>>);

impl Write for To {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        *self.0.lock().unwrap() += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn take(packed: &[u8]) {
    let mut counted = Counted::default();
    let taken = counted.taken.clone();
    if let Err(error) = unpack(packed, &mut counted, &Unwatched) {
        assert!(!error.to_string().is_empty());
    }
    assert!(*taken.lock().unwrap() <= counted.promised);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 4 {
        // As tar, for bytes that happen to be zstd's are few.
        0 => take(&zstd::encode_all(rest, 1).unwrap()),
        1 => take(rest),
        2 => {
            let _ = AgeHeader::read(rest, rest.len() as u64).map(|header| header.summary());
        }
        _ => {
            let _ = Seal::parse(rest);
            if let Ok(manifest) = Manifest::parse(rest) {
                let written = manifest.bytes().unwrap();
                assert_eq!(Manifest::parse(&written).unwrap(), manifest);
            }
        }
    }
});
