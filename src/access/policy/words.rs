//! The vocabulary as Cedar's entities. No text of a request ever becomes Cedar source: ids and attributes are values.

use super::{
    super::{
        principal::Facts,
        vocabulary::{Action, PrincipalKind, Resource, ResourceKind},
    },
    error::PolicyError,
};
use cedar_policy::{
    Entity, EntityAttrEvaluationError, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

type Attributes = HashMap<String, RestrictedExpression>;

/// The names, parsed once.
#[derive(Debug)]
pub(super) struct Words {
    principals: Vec<EntityTypeName>,
    resources: Vec<EntityTypeName>,
    actions: Vec<EntityUid>,
}

impl Words {
    pub(super) fn new() -> Result<Self, PolicyError> {
        let action_type = type_name("Action")?;
        let action = |action: &Action| uid(&action_type, action.as_str());
        Ok(Self {
            principals: PrincipalKind::ALL.iter().map(type_name).collect::<Result<_, _>>()?,
            resources: ResourceKind::ALL.iter().map(type_name).collect::<Result<_, _>>()?,
            actions: Action::ALL.iter().map(action).collect(),
        })
    }

    // The index is the place in `ALL`, which is the order of declaration.
    pub(super) fn action(&self, action: Action) -> EntityUid {
        self.actions[action as usize].clone()
    }

    pub(super) fn principal_type(&self, kind: PrincipalKind) -> &EntityTypeName {
        &self.principals[kind as usize]
    }

    pub(super) fn principal(&self, facts: &Facts) -> Result<Entity, Box<EntityAttrEvaluationError>> {
        let mut attributes = Attributes::with_capacity(7);
        match facts.kind {
            PrincipalKind::Bootstrap | PrincipalKind::Svid => {
                if let Some(spiffe_id) = &facts.spiffe_id {
                    attributes.insert("spiffeId".into(), text(spiffe_id.as_str()));
                }
            }
            PrincipalKind::Admin
            | PrincipalKind::Node
            | PrincipalKind::NodeCustodian
            | PrincipalKind::DataCustodian
            | PrincipalKind::User => {
                attributes.insert("id".into(), text(&facts.id));
                attributes.insert("name".into(), text(&facts.name));
                attributes.insert("type".into(), text(&facts.entity_type));
                attributes.insert("sub".into(), text(&facts.sub));
                attributes.insert("trustedNodes".into(), texts(&facts.trusted_nodes));
                attributes.insert("trustedDomains".into(), texts(&facts.trusted_domains));
                if let Some(node_id) = &facts.node_id {
                    attributes.insert("nodeId".into(), text(node_id));
                }
            }
        }
        entity(uid(self.principal_type(facts.kind), &facts.cedar_id), attributes)
    }

    pub(super) fn resource(
        &self,
        kind: ResourceKind,
        resource: &Resource,
    ) -> Result<Entity, Box<EntityAttrEvaluationError>> {
        let mut attributes = Attributes::with_capacity(4);
        attributes.insert("nodeId".into(), text(&resource.node_id));
        attributes.insert("domainId".into(), text(&resource.domain_id));
        if kind == ResourceKind::Certificate {
            if let Some(spiffe_id) = &resource.spiffe_id {
                attributes.insert("spiffeId".into(), text(spiffe_id.as_str()));
            }
            if let Some(service_type) = resource.service_type {
                attributes.insert("serviceType".into(), text(service_type));
            }
        }
        let id = resource.spiffe_id.as_ref().map_or(resource.node_id.as_str(), |id| id.as_str());
        entity(uid(&self.resources[kind as usize], id), attributes)
    }
}

fn type_name(word: impl fmt::Display) -> Result<EntityTypeName, PolicyError> {
    let name = format!("CATALYST::{word}");
    name.parse().map_err(|error| PolicyError::of(&name, format!("is no name of Cedar's: {error}")))
}

fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

fn entity(uid: EntityUid, attributes: Attributes) -> Result<Entity, Box<EntityAttrEvaluationError>> {
    Entity::new(uid, attributes, HashSet::new()).map_err(Box::new)
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn texts(values: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(values.iter().map(|value| text(value)))
}
