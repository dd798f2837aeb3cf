//! `catalyst policy`: checks policies as a start does, and writes the program's own as something to start from.

use super::{Output, fail, print, refuse};
use crate::{
    access::{Flaw, Policies, PolicyError, built_in_files},
    settings::{Inputs, Settings, Table},
};
use serde_json::json;
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What is to be done about policies.
#[derive(Debug)]
pub(super) enum Task {
    /// Checks those of a directory, or those that the settings say.
    Check(Option<PathBuf>, Output, Inputs),
    /// Writes the program's own into a directory.
    Export(PathBuf),
}

pub(super) fn run(table: &Table, task: Task) -> ExitCode {
    match task {
        Task::Export(dir) => match export(&dir) {
            Ok(written) => print(&written),
            Err(error) => fail(&error),
        },
        Task::Check(Some(dir), output, _) => check(Some(&dir), output),
        // Read as leniently as --dev does: a credential that is too short has nothing to do with policies.
        Task::Check(None, output, inputs) => match Settings::read(table, &Inputs { dev: true, ..inputs }) {
            Ok(settings) => check(settings.policy_dir.as_deref(), output),
            Err(error) => refuse(&error),
        },
    }
}

fn check(dir: Option<&Path>, output: Output) -> ExitCode {
    match Policies::load(dir) {
        Ok(policies) => {
            complain(policies.warnings().iter().map(|warning| format!("warning: {warning}")));
            print(&good(dir, &policies, output))
        }
        Err(error) => {
            complain(error.flaws().iter().map(|flaw| format!("error: {flaw}")));
            if output == Output::Json {
                print(&bad(&error));
            }
            ExitCode::FAILURE
        }
    }
}

fn good(dir: Option<&Path>, policies: &Policies, output: Output) -> String {
    let (hash, counts) = (policies.hash(), policies.counts());
    if output == Output::Json {
        let directory = dir.map(|dir| dir.display().to_string());
        let warnings = policies.warnings();
        let answer = json!({
            "valid": true, "directory": directory, "files": counts, "hash": hash, "warnings": warnings
        });
        return format!("{answer}\n");
    }
    let place = dir.map_or_else(|| "the program's own policies".to_owned(), |dir| dir.display().to_string());
    let mut text = format!("{place}: valid\n");
    for (file, count) in counts {
        let policies = if count == 1 { "policy" } else { "policies" };
        let _ = writeln!(text, "  {file}: {count} {policies}");
    }
    let _ = writeln!(text, "SHA-256 {hash}");
    text
}

fn bad(error: &PolicyError) -> String {
    let flaw = |flaw: &Flaw| {
        let (line, column) = flaw.at.unzip();
        json!({ "file": flaw.file, "line": line, "column": column, "message": flaw.what })
    };
    let errors: Vec<_> = error.flaws().iter().map(flaw).collect();
    format!("{}\n", json!({ "valid": false, "errors": errors }))
}

fn complain(lines: impl Iterator<Item = String>) {
    for line in lines {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("{} is there already: choose another directory, or move the file away", .0.display())]
    Exists(PathBuf),
    #[error("{}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Writes the schema and the policies; nothing where one of the files is there already.
fn export(dir: &Path) -> Result<String, ExportError> {
    let taken = built_in_files().map(|(name, _)| dir.join(name)).find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = taken {
        return Err(ExportError::Exists(path));
    }
    fs::create_dir_all(dir).map_err(|source| ExportError::Write { path: dir.to_owned(), source })?;
    let mut written = String::new();
    for (name, text) in built_in_files() {
        let path = dir.join(name);
        write_new(&path, text).map_err(|source| ExportError::Write { path: path.clone(), source })?;
        let _ = writeln!(written, "{}", path.display());
    }
    Ok(written)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tempfile::TempDir;

    #[test]
    fn what_was_exported_is_what_holds_without_a_directory() {
        let scratch = TempDir::new().unwrap();
        let dir = scratch.path().join("new/policies");
        assert_eq!(export(&dir).unwrap().lines().count(), built_in_files().count());
        let (exported, own) = (Policies::load(Some(&dir)).unwrap(), Policies::built_in().unwrap());
        assert_eq!(exported.hash(), own.hash());
        assert_eq!(good(None, &exported, Output::Text), good(None, &own, Output::Text));
        let again = export(&dir).unwrap_err().to_string();
        assert!(again.contains("schema.cedarschema is there already"), "{again}");
    }

    #[test]
    fn answers_have_a_form_for_programs() {
        let own = Policies::built_in().unwrap();
        let answer: Value = serde_json::from_str(&good(None, &own, Output::Json)).unwrap();
        assert_eq!((&answer["valid"], &answer["files"]["user.cedar"]), (&json!(true), &json!(1)));
        assert_eq!(answer["hash"], own.hash());

        let scratch = TempDir::new().unwrap();
        fs::write(scratch.path().join("a.cedar"), "\npermit (principal);").unwrap();
        let error = Policies::load(Some(scratch.path())).unwrap_err();
        let answer: Value = serde_json::from_str(&bad(&error)).unwrap();
        assert_eq!((&answer["valid"], &answer["errors"][0]["line"]), (&json!(false), &json!(2)));
    }
}
