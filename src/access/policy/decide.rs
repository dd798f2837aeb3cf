//! One decision.

use super::{
    super::{
        principal::Facts,
        vocabulary::{Action, PrincipalKind, Resource, ResourceKind},
    },
    load::Loaded,
};
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Verdict, Entities, PolicyId, Request,
};

/// What policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is allowed.
    Allow,
    /// It is not; the policies that forbade it or could not be evaluated, as `node.cedar#2 (line 14)`; none where
    /// nothing permits it.
    Deny(Vec<String>),
}

/// A decision, and what went wrong on the way: by policy where it is one's fault.
pub(super) struct Outcome {
    pub(super) decision: Decision,
    pub(super) errors: Vec<(String, String)>,
}

/// Whether such a principal may ask for this at all, as the schema says. A policy that permits everything to everybody
/// is valid, and still opens nothing but CSRs to a bootstrap credential.
pub(super) fn may_ask(principal: PrincipalKind, action: Action) -> bool {
    match principal {
        PrincipalKind::Admin
        | PrincipalKind::Node
        | PrincipalKind::NodeCustodian
        | PrincipalKind::DataCustodian
        | PrincipalKind::User => true,
        PrincipalKind::Bootstrap => action == Action::CertSign,
        PrincipalKind::Svid => matches!(
            action.resource_kind(),
            ResourceKind::Certificate
                | ResourceKind::Ca
                | ResourceKind::SigningKey
                | ResourceKind::Audit
                | ResourceKind::Backup
        ),
    }
}

pub(super) fn decide(policies: &Loaded, facts: &Facts, action: Action, resource: &Resource) -> Outcome {
    if !may_ask(facts.kind, action) {
        return Outcome { decision: Decision::Deny(Vec::new()), errors: Vec::new() };
    }
    let (request, entities) = match question(policies, facts, action, resource) {
        Ok(question) => question,
        Err(error) => {
            let errors = vec![("none: the request has no form".to_owned(), error)];
            return Outcome { decision: Decision::Deny(Vec::new()), errors };
        }
    };
    let relevant = policies.slices.of(&policies.words, facts.kind, action);
    let response = Authorizer::new().is_authorized(&request, relevant, &entities);
    let errors: Vec<(&PolicyId, String)> = response
        .diagnostics()
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(error)| {
            (error.policy_id(), error.inner().to_string())
        })
        .collect();
    // Cedar leaves out a policy that can't be evaluated; it may have been the one that forbids.
    if errors.is_empty() && response.decision() == Verdict::Allow {
        return Outcome { decision: Decision::Allow, errors: Vec::new() };
    }
    let errors: Vec<_> = errors.into_iter().map(|(id, error)| (policies.name(id), error)).collect();
    let forbade = response.diagnostics().reason().filter(|_| response.decision() == Verdict::Deny);
    let mut blamed: Vec<_> = forbade.map(|id| policies.name(id)).collect();
    blamed.extend(errors.iter().map(|(name, _)| name.clone()));
    blamed.sort();
    Outcome { decision: Decision::Deny(blamed), errors }
}

fn question(
    policies: &Loaded,
    facts: &Facts,
    action: Action,
    resource: &Resource,
) -> Result<(Request, Entities), String> {
    let words = &policies.words;
    let principal = words.principal(facts).map_err(|error| error.to_string())?;
    let resource = words.resource(action.resource_kind(), resource).map_err(|error| error.to_string())?;
    let (asker, asked) = (principal.uid(), resource.uid());
    // Without a schema: what is asked was made from the program's own types, and checking them costs time.
    let request = Request::new(asker, words.action(action), asked, Context::empty(), None)
        .map_err(|error| error.to_string())?;
    let entities = Entities::from_entities([principal, resource], None).map_err(|error| error.to_string())?;
    Ok((request, entities))
}
