//! Arguments that are paths: what a shell completes there, and what is no name for a file.

use clap::{
    Arg, ValueHint,
    builder::{PathBufValueParser, TypedValueParser as _},
};
use std::path::{Path, PathBuf};

/// A file that is read.
pub(super) fn file(arg: Arg) -> Arg {
    arg.value_parser(PathBufValueParser::new()).value_hint(ValueHint::FilePath)
}

/// A directory.
pub(super) fn directory(arg: Arg) -> Arg {
    arg.value_parser(PathBufValueParser::new()).value_hint(ValueHint::DirPath)
}

/// A file that is written.
pub(super) fn new_file(arg: Arg) -> Arg {
    written(arg, "this goes into a file, not to standard output; for a file of that name give ./-")
}

/// A file that is written, where standard output takes its place when it is left out.
pub(super) fn new_file_or_output(arg: Arg) -> Arg {
    written(arg, "leave the option out for standard output; for a file of that name give ./-")
}

/// `-` means a standard stream to whoever types it, and would become a file.
fn written(arg: Arg, of_a_dash: &'static str) -> Arg {
    let check = move |path: PathBuf| if path == Path::new("-") { Err(of_a_dash) } else { Ok(path) };
    arg.value_parser(PathBufValueParser::new().try_map(check)).value_hint(ValueHint::FilePath)
}
