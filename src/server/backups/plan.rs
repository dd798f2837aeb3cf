//! What the settings say of backups that the service makes, checked when it starts.

use super::super::start::Failure;
use crate::{
    backup::{Lock, Schedule},
    settings::{Settings, SettingsError},
};
use rustix::{
    fs::{Access, access},
    process::geteuid,
};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

const RECIPIENTS: &str = "CATALYST_PKI_BACKUP_RECIPIENTS";
/// Every other user may write.
const WRITABLE_BY_ALL: u32 = 0o002;
/// Users of the group may.
const WRITABLE_BY_GROUP: u32 = 0o020;

/// Backups that are to be made.
#[derive(Clone, Debug)]
pub(in super::super) struct Plan {
    /// Where they go; absolute.
    pub(super) directory: PathBuf,
    /// Whom they are encrypted to.
    pub(super) recipients: Vec<String>,
    /// When.
    pub(super) schedule: Schedule,
    /// What is run after each.
    pub(super) hook: Option<PathBuf>,
}

impl Plan {
    /// `None`: the service makes none.
    ///
    /// # Errors
    /// Settings with which nobody could open a backup, or others could touch it: what would stay wrong until an operator
    /// acts. A directory that is away, as that of a network's disk may be, keeps no CA from starting.
    pub(in super::super) fn of(settings: &Settings) -> Result<Option<Self>, Failure> {
        let Some(directory) = &settings.backup_dir else {
            return match &settings.backup_hook {
                None => Ok(None),
                Some(_) => Err(SettingsError::Missing {
                    variable: "CATALYST_PKI_BACKUP_DIR".into(),
                    wanted: "CATALYST_PKI_BACKUP_HOOK is, and the service makes no backups without it; set it too, or unset the hook".into(),
                }
                .into()),
            };
        };
        let directory = std::path::absolute(directory)?;
        look_at(&directory, &settings.data_dir)?;
        let Some(every) = settings.backup_interval else { return Ok(None) };
        let recipients = settings.backup_recipients.clone();
        if recipients.is_empty() {
            return Err(SettingsError::Missing {
                variable: RECIPIENTS.into(),
                wanted: "CATALYST_PKI_BACKUP_DIR is, and nobody could open the backups; name a recipient (age-keygen makes one), or set CATALYST_PKI_BACKUP_INTERVAL to 0 for the journal of denials alone".into(),
            }
            .into());
        }
        Lock::unattended(&recipients)
            .map_err(|error| settings.values.unfit(RECIPIENTS, error.to_string()))?;
        if let Some(hook) = &settings.backup_hook {
            runnable(hook)?;
        }
        let schedule = Schedule { every, keep: settings.backup_keep };
        Ok(Some(Self { directory, recipients, schedule, hook: settings.backup_hook.clone() }))
    }
}

fn look_at(directory: &Path, data_dir: &Path) -> Result<(), Failure> {
    let shown = directory.display();
    let there = fs::metadata(directory);
    if there.as_ref().is_ok_and(|there| !there.is_dir()) {
        return Err(format!("CATALYST_PKI_BACKUP_DIR: {shown} is no directory").into());
    }
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let there = match there.and_then(|there| Ok((there, access(directory, all)?))) {
        Ok((there, ())) => there,
        Err(error) => {
            tracing::error!(target: "catalyst.pki", directory = %shown, error = %error,
                "Directory of backups cannot be used — make it for the service's user alone, or correct CATALYST_PKI_BACKUP_DIR");
            return Ok(());
        }
    };
    if there.mode() & WRITABLE_BY_ALL != 0 {
        return Err(format!("CATALYST_PKI_BACKUP_DIR: every user may write into {shown}, and could delete or replace backups: take that away with chmod o-w").into());
    }
    if ![0, geteuid().as_raw()].contains(&there.uid()) {
        tracing::warn!(target: "catalyst.pki", directory = %shown, owner = there.uid(),
            "Directory of backups belongs to another user, who may delete and replace backups and their journal of denials — chown it to the service's user");
    }
    if there.mode() & WRITABLE_BY_GROUP != 0 {
        tracing::warn!(target: "catalyst.pki", directory = %shown,
            "Directory of backups can be written by its group — chmod g-w unless all of its users may delete backups");
    }
    if fs::metadata(data_dir).is_ok_and(|data| data.dev() == there.dev()) {
        tracing::warn!(target: "catalyst.pki", directory = %shown,
            "Directory of backups is on the disk of the data directory — a disk that is lost takes both; copy them elsewhere, as with CATALYST_PKI_BACKUP_HOOK");
    }
    Ok(())
}

fn runnable(hook: &Path) -> Result<(), Failure> {
    let shown = hook.display();
    match fs::metadata(hook).and_then(|there| Ok((there, access(hook, Access::EXEC_OK)?))) {
        Ok((there, ())) if !there.is_file() => {
            Err(format!("CATALYST_PKI_BACKUP_HOOK: {shown} is no program").into())
        }
        Ok((there, ())) if there.mode() & WRITABLE_BY_ALL != 0 => Err(format!(
            "CATALYST_PKI_BACKUP_HOOK: every user may write {shown}, and say what the service runs: take that away with chmod o-w"
        )
        .into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "CATALYST_PKI_BACKUP_HOOK: {shown} cannot be run: {error}; it is the path of one program, without arguments"
        )
        .into()),
    }
}
