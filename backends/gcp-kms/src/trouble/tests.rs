//! The table of errors.
