//! What the audit log gets beside the records that commit with their effect: policy denials, signed heads, and
//! sealed files of what is old.

mod denials;
mod heads;
mod sealing;

pub(super) use denials::Denials;
pub use heads::{SignedHead, head_octets};
pub use sealing::{SEALED_DIRECTORY, Seal};

#[cfg(test)]
mod tests;
