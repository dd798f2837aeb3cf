//! The built-in rules, broken policies, and directories that change.

mod broken;
mod hostile;
mod refresh;
mod rules;
mod schema;

use super::super::{
    principal::Facts,
    vocabulary::{PrincipalKind, Resource},
};
use std::{fs, path::Path};

/// A principal with nothing but its kind.
fn facts(kind: PrincipalKind) -> Facts {
    Facts {
        kind,
        cedar_id: "someone".into(),
        sub: "someone".into(),
        id: "someone".into(),
        name: "someone".into(),
        entity_type: "service".into(),
        node_id: None,
        spiffe_id: None,
        trusted_nodes: Vec::new(),
        trusted_domains: Vec::new(),
    }
}

fn node(node_id: &str, domain_id: &str) -> Resource {
    Resource { node_id: node_id.into(), domain_id: domain_id.into(), ..Resource::default() }
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).unwrap();
}
