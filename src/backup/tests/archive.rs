//! Archives that were cut off, altered or made by others.

use super::*;
use proptest::prelude::*;
use std::sync::OnceLock;
use tar::EntryType::{self, Directory, Fifo, GNULongName, Link, Regular, Symlink, XHeader};

/// The entries of one backup, and all of them packed.
type Sample = (Vec<(String, Vec<u8>)>, Vec<u8>);

/// One backup, for all tests that only want to read.
fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (ca, backup) = runtime.block_on(async {
            let ca = Ca::new().await;
            let backup = ca.backup().await;
            (ca, backup)
        });
        let tar = ca.plain(&backup);
        (entries(&tar), pack(&tar))
    })
}

fn take(packed: &[u8]) -> Result<usize> {
    let mut taken = Taken::default();
    unpack(packed, &mut taken, &Unwatched)?;
    Ok(*taken.0.lock().unwrap())
}

/// The sample with other entries in the place of some, or behind it.
fn forged(
    change: impl Fn(usize, &str) -> Option<(String, EntryType)>,
    behind: &[(&str, EntryType)],
) -> Vec<u8> {
    let mut forged = Forged::new();
    for (place, (name, bytes)) in sample().0.iter().enumerate() {
        let (name, kind) = change(place, name).unwrap_or((name.clone(), Regular));
        forged = forged.with(&name, kind, bytes);
    }
    for (name, kind) in behind {
        forged = forged.with(name, *kind, b"behind");
    }
    forged.packed()
}

fn damage(packed: &[u8]) -> String {
    match take(packed) {
        Err(BackupError::Damaged(clause)) => clause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_backup_holds_what_it_says_in_its_order() {
    let names: Vec<_> = sample().0.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = [
        "manifest.json",
        "manifest.sig",
        "certs.db",
        "keys/root-1.pem",
        "keys/services-1.pem",
        "keys/transport-1.pem",
    ];
    assert_eq!(names, wanted);
    let parts: usize = sample().0[2..].iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(take(&sample().1).unwrap(), parts);
    assert_eq!(take(&forged(|_, _| None, &[])).unwrap(), parts);
}

#[test]
fn entries_that_are_no_plain_file_of_the_wanted_name_are_refused() {
    for (name, kind, said) in [
        ("../certs.db", Regular, "a file '../certs.db' where certs.db is wanted"),
        ("/etc/cron.d/x", Regular, "a file '/etc/cron.d/x' where"),
        ("./certs.db", Regular, "'./certs.db'"),
        ("certs.db", Symlink, "a link 'certs.db' where"),
        ("certs.db", Link, "a link"),
        ("certs.db", Directory, "a directory"),
        ("certs.db", Fifo, "an entry of another kind"),
        ("certs.db", GNULongName, "an entry of another kind"),
        ("certs.db", XHeader, "an entry of another kind"),
        ("manifest.json", Regular, "'manifest.json' where certs.db"),
        ("certs.db\u{1b}[31m", Regular, "\\u{1b}"),
    ] {
        let change = |place: usize, _: &str| (place == 2).then(|| (name.to_owned(), kind));
        let clause = damage(&forged(change, &[]));
        assert!(clause.contains(said), "{name} {kind:?}: {clause}");
    }
}

#[test]
fn nothing_more_and_nothing_less_than_listed_is_taken() {
    for (name, kind) in
        [("keys/extra.pem", Regular), ("certs.db", Regular), ("../x", Symlink), ("x", XHeader)]
    {
        assert!(damage(&forged(|_, _| None, &[(name, kind)])).contains("besides what its manifest lists"));
    }
    let mut short = Forged::new();
    for (name, bytes) in &sample().0[..4] {
        short = short.with(name, Regular, bytes);
    }
    assert!(damage(&short.packed()).contains("keys/services-1.pem is missing"));
    let mut swapped = Forged::new();
    for place in [0, 1, 2, 4, 3, 5] {
        let (name, bytes) = &sample().0[place];
        swapped = swapped.with(name, Regular, bytes);
    }
    assert!(damage(&swapped.packed()).contains("where keys/root-1.pem is wanted"));
    assert!(damage(&Forged::new().packed()).contains("manifest.json is missing"));
    let tar = zstd::decode_all(sample().1.as_slice()).unwrap();
    for behind in [vec![1; 512], vec![0; 1 << 20], vec![7; 1]] {
        assert!(damage(&pack(&[tar.as_slice(), &behind].concat())).contains("behind its last file"));
    }
    assert!(damage(&[sample().1.as_slice(), &pack(b"more")].concat()).contains("behind its last file"));
}

/// What is written of a bomb is less than a piece of it.
#[test]
fn a_bomb_is_stopped_before_it_has_grown() {
    let front = || {
        Forged::new().with("manifest.json", Regular, &sample().0[0].1).with(
            "manifest.sig",
            Regular,
            &sample().0[1].1,
        )
    };
    let (size, zeros) = (sample().0[2].1.len() as u64, vec![0; 64 << 20]);
    let bomb = front().with("certs.db", Regular, &zeros).packed();
    assert!(bomb.len() < 100_000);
    let mut taken = Taken::default();
    assert!(
        unpack(bomb.as_slice(), &mut taken, &Unwatched).unwrap_err().to_string().contains("by its manifest")
    );
    assert_eq!(*taken.0.lock().unwrap(), 0);
    // As long as is said, and something else.
    let other = front().with("certs.db", Regular, &zeros[..usize::try_from(size).unwrap()]).packed();
    assert!(damage(&other).contains("certs.db is not what its manifest says"));
    let long = Forged::new().with("manifest.json", Regular, &zeros[..2 << 20]).packed();
    assert!(damage(&long).contains("at most are taken"));
    // A window larger than any that is written here.
    let mut wide = zstd::Encoder::new(Vec::new(), 3).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&zeros).unwrap();
    assert!(take(&wide.finish().unwrap()).is_err());
}

#[test]
fn manifests_that_none_here_writes_are_refused() {
    let manifest: serde_json::Value = serde_json::from_slice(&sample().0[0].1).unwrap();
    let with = |pointer: &str, value: serde_json::Value| {
        let mut manifest = manifest.clone();
        *manifest.pointer_mut(pointer).unwrap() = value;
        Manifest::parse(manifest.to_string().as_bytes()).unwrap_err().to_string()
    };
    assert!(with("/format", 2.into()).contains("format 2, and this program knows format 1"));
    for name in
        ["../certs.db", "/certs.db", "keys/../x", "keys/a/b", "keys/.x", "keys/", "system-token", "keys/a\0"]
    {
        assert!(with("/parts/1/name", name.into()).contains("a name that no file of a backup has"), "{name}");
    }
    assert!(with("/parts/2/name", "keys/root-1.pem".into()).contains("a file twice"));
    assert!(with("/parts/0/name", "keys/a.pem".into()).contains("certs.db not first"));
    assert!(with("/parts/0/sha256", "00".into()).contains("a hash that is none"));
    assert!(with("/parts/0/size", u64::MAX.into()).contains("beyond all bounds"));
    assert!(with("/parts", serde_json::json!([])).contains("certs.db not first"));
    let mut more = manifest.clone();
    more["more"] = 1.into();
    assert!(Manifest::parse(more.to_string().as_bytes()).is_err());
    assert_eq!(Manifest::parse(manifest.to_string().as_bytes()).unwrap().bytes().unwrap(), sample().0[0].1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is done to the compressed archive, it is found out or without effect; nothing panics.
    #[test]
    fn an_altered_archive_is_damaged_or_the_same(at in any::<prop::sample::Index>(), bit in 0..8_u32, cut in any::<bool>()) {
        let packed = &sample().1;
        let at = at.index(packed.len());
        let altered = if cut { packed[..at].to_vec() } else {
            let mut altered = packed.clone();
            altered[at] ^= 1 << bit;
            altered
        };
        match take(&altered) {
            Ok(taken) => {
                prop_assert!(!cut);
                prop_assert_eq!(taken, sample().0[2..].iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
            }
            Err(error) => prop_assert!(matches!(error, BackupError::Damaged(_) | BackupError::Usage(_)), "{error:?}"),
        }
    }

    #[test]
    fn any_bytes_are_no_archive(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(take(&bytes).is_err());
        prop_assert!(take(&pack(&bytes)).is_err());
        prop_assert!(Manifest::parse(&bytes).is_err());
        prop_assert!(Seal::parse(&bytes).is_err());
        prop_assert!(AgeHeader::read(bytes.as_slice(), bytes.len() as u64).is_err());
    }
}
