//! The settings file.
#![no_main]

use catalyst_pki::{
    key_stores::Kinds,
    settings::{Environment, Inputs, Settings},
};
use libfuzzer_sys::fuzz_target;
use std::{cell::OnceCell, collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};
use tempfile::TempDir;

thread_local! {
    static PLACE: OnceCell<(TempDir, PathBuf)> = const { OnceCell::new() };
}

fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("settings.toml");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    (directory, file)
}

fuzz_target!(|content: &[u8]| {
    PLACE.with(|cell| {
        let (_, file) = cell.get_or_init(place);
        fs::write(file, content).unwrap();
        let flags = BTreeMap::from([("config", file.display().to_string())]);
        let inputs = Inputs { dev: content.len() % 2 == 0, flags, environment: Environment::default() };
        let _ = Settings::read(&Kinds::of_this_build().table(), &inputs);
    });
});
