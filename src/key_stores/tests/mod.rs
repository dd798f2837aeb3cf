//! What settings say of key stores.
#![cfg(all(feature = "aws-kms", feature = "gcp-kms", feature = "pkcs11"))]

mod aws_kms;
mod gcp_kms;
mod page;
mod pkcs11;

use super::*;
use crate::settings::{Environment, Inputs};
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};
use tempfile::TempDir;

fn table() -> Table {
    Kinds::of_this_build().table()
}

fn open(settings: &Settings) -> Result<Named, Failure> {
    Kinds::of_this_build().open(settings)
}

fn open_one(settings: &Settings, name: &str) -> Result<Arc<dyn SigningBackend>, Failure> {
    Kinds::of_this_build().open_one(settings, name)
}

/// Settings of variables, and of a settings file where there is one.
fn settings(file: Option<&Path>, vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let flags = file.map(|path| ("config", path.display().to_string()));
    let inputs = Inputs {
        dev: false,
        flags: BTreeMap::from_iter(flags),
        environment: Environment::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into()))),
    };
    Settings::read(&table(), &inputs)
}

fn file(directory: &TempDir, text: &str) -> std::path::PathBuf {
    let path = directory.path().join("settings.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn names(settings: &Settings) -> Vec<String> {
    open(settings).unwrap().into_iter().map(|(name, _)| name).collect()
}

fn refused(file: Option<&Path>, vars: &[(&str, &str)]) -> String {
    match settings(file, vars) {
        Ok(settings) => open(&settings).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: Vec<_> = FACTORIES.iter().map(|factory| factory.settings.name).collect();
    assert_eq!(names, ["local", "aws-kms", "gcp-kms", "pkcs11"]);
    assert_eq!(table().backend_names(), names);
}

#[test]
fn local_is_there_with_a_passphrase_alone() {
    let directory = TempDir::new().unwrap();
    let keys = directory.path().join("keys").display().to_string();
    let vars = [
        ("CATALYST_PKI_LOCAL_KEYS", keys.as_str()),
        ("CATALYST_PKI_LOCAL_PASSPHRASE", "correct horse battery staple"),
    ];
    assert_eq!(names(&settings(None, &vars).unwrap()), ["local"]);
    let without = settings(None, &vars[..1]).unwrap();
    assert_eq!(names(&without), [""; 0]);
    assert!(open_one(&without, "local").unwrap_err().to_string().contains("'local'"));
    let unknown = open_one(&without, "azure").unwrap_err().to_string();
    assert_eq!(unknown, "this build has no key store 'azure'; it has: local, aws-kms, gcp-kms, pkcs11");
}
