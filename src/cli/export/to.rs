//! Where an export goes: a file that is there whole or not at all, or standard output.

use super::super::files::{Draft, Place, Readers};
use crate::client::{ClientError, Result};
use std::io::{self, Write as _};

pub(super) enum To {
    Stdout { is_open: bool },
    File(Box<Draft>),
}

impl To {
    /// Begins a file beside its place.
    pub(super) fn begin(place: Option<Place>) -> Result<Self> {
        Ok(match place {
            None => Self::Stdout { is_open: true },
            Some(place) => Self::File(Box::new(place.begin(Readers::Anybody)?)),
        })
    }

    /// Writes a part; answers whether anybody wants more. A reader that has gone, as `head` does, is no failure.
    pub(super) fn put(&mut self, part: &[u8]) -> Result<bool> {
        match self {
            Self::File(draft) => draft.append(part).map(|()| true).map_err(failed),
            Self::Stdout { is_open: false } => Ok(false),
            Self::Stdout { is_open } => {
                let mut stdout = io::stdout();
                match stdout.write_all(part).and_then(|()| stdout.flush()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *is_open = false,
                    written => written.map_err(failed)?,
                }
                Ok(*is_open)
            }
        }
    }

    /// Puts the file at its place, once all of it is on the disk.
    pub(super) fn end(self) -> Result<()> {
        match self {
            Self::Stdout { .. } => Ok(()),
            Self::File(mut draft) => draft.fill(&[]).and_then(|()| draft.publish()).map_err(failed),
        }
    }
}

fn failed(error: io::Error) -> ClientError {
    ClientError::failed(format!("cannot write the export: {error}"))
}
