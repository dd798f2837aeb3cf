//! From text to policies that hold: parsed, without templates, valid against the schema.

use super::{
    error::{Flaw, PolicyError, line_and_column},
    size,
    slices::Slices,
    source::{SCHEMA, Source},
    words::Words,
};
use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator, ffi::DetailedError};
use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr as _,
    thread,
};

/// Policies that may hold.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) slices: Slices,
    pub(super) words: Words,
    pub(super) hash: String,
    /// How many policies each file has.
    pub(super) counts: BTreeMap<String, usize>,
    /// What Cedar finds odd; nothing of it is an error.
    pub(super) warnings: Vec<String>,
    /// By policy: `node.cedar#2 (line 14)`.
    names: HashMap<PolicyId, String>,
}

/// Where a policy stands.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
    offset: usize,
}

const TEMPLATE: &str =
    "is a template: nothing fills its ?principal and ?resource here, so write it as a policy";

/// Cedar's parser takes 35 KiB a bracket in a debug build, more than a worker thread has for [`size`]'s bounds.
const PARSER_STACK: usize = 64 << 20;

impl Loaded {
    pub(super) fn new(source: &Source) -> Result<Self, PolicyError> {
        let stuck = |what: &str| PolicyError::of(&source.place, format!("cannot be parsed: {what}"));
        thread::scope(|scope| {
            let parser = thread::Builder::new().name("policies".into()).stack_size(PARSER_STACK);
            let parser = parser
                .spawn_scoped(scope, || Self::parse(source))
                .map_err(|error| stuck(&format!("no thread can be started: {error}")))?;
            parser.join().map_err(|_| stuck("the parser has panicked"))?
        })
    }

    fn parse(source: &Source) -> Result<Self, PolicyError> {
        let schema = schema()?;
        let mut set = PolicySet::new();
        let mut places = HashMap::new();
        let mut counts = BTreeMap::new();
        let mut flaws = Vec::new();
        for (name, text) in &source.files {
            let shown = source.shown(name);
            let policies = match statements(&shown, text) {
                Ok(policies) => policies,
                Err(found) => {
                    flaws.extend(found);
                    continue;
                }
            };
            counts.insert(name.clone(), policies.len());
            for (number, (policy, offset)) in policies.into_iter().enumerate() {
                // With the file's name in them, policies of two files can't collide.
                let id = PolicyId::new(format!("{name}#{}", number + 1));
                set.add(policy.new_id(id.clone()))
                    .map_err(|error| PolicyError::of(&shown, error.to_string()))?;
                places.insert(id, Place { file: name, text, offset });
            }
        }
        PolicyError::if_any(flaws)?;
        if set.is_empty() {
            let place = source.place.trim_end_matches('/');
            return Err(PolicyError::of(
                place,
                "its *.cedar files hold no policy, so that everything would be denied",
            ));
        }
        let warnings = validate(schema, &set, source, &places)?;
        let names = places.iter().map(|(id, place)| (id.clone(), place.name(id))).collect();
        Ok(Self {
            slices: Slices::new(set),
            words: Words::new()?,
            hash: source.hash(),
            counts,
            warnings,
            names,
        })
    }

    /// How a policy is named in logs and answers.
    pub(super) fn name(&self, id: &PolicyId) -> String {
        self.names.get(id).cloned().unwrap_or_else(|| id.to_string())
    }
}

impl Place<'_> {
    fn name(&self, id: &PolicyId) -> String {
        format!("{id} (line {})", line_and_column(self.text, self.offset).0)
    }
}

pub(super) fn schema() -> Result<Schema, PolicyError> {
    let (name, text) = SCHEMA;
    let (schema, _) =
        Schema::from_cedarschema_str(text).map_err(|error| PolicyError::of(name, error.to_string()))?;
    Ok(schema)
}

/// The policies of one file, each with the byte at which it begins.
fn statements(shown: &str, text: &str) -> Result<Vec<(Policy, usize)>, Vec<Flaw>> {
    size::check(text).map_err(|(offset, what)| {
        vec![Flaw { file: shown.to_owned(), at: Some(line_and_column(text, offset)), what: what.into() }]
    })?;
    let parsed = PolicySet::from_str(text).map_err(|errors| {
        let flaw = |error| Flaw::of_cedar(shown.to_owned(), text, &DetailedError::from(error), None);
        errors.iter().map(flaw).collect::<Vec<_>>()
    })?;
    // Policies and templates together, as they stand in the file, each with its text.
    let policies = parsed
        .policies()
        .map(|policy| (number(policy.id()), (Some(policy.clone()), policy.to_cedar().unwrap_or_default())));
    let templates = parsed.templates().map(|template| (number(template.id()), (None, template.to_cedar())));
    let in_order: BTreeMap<_, _> = policies.chain(templates).collect();
    let (mut found, mut flaws) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for (policy, its_text) in in_order.into_values() {
        offset = next_statement(text, offset);
        match policy {
            Some(policy) => found.push((policy, offset)),
            None => flaws.push(Flaw {
                file: shown.to_owned(),
                at: Some(line_and_column(text, offset)),
                what: TEMPLATE.into(),
            }),
        }
        offset += its_text.len();
    }
    if flaws.is_empty() { Ok(found) } else { Err(flaws) }
}

/// Cedar numbers what it parses: `policy0`, `policy1`, ….
fn number(id: &PolicyId) -> usize {
    let id: &str = id.as_ref();
    id.strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// The first byte at or after `offset` that is neither space nor comment.
fn next_statement(text: &str, mut offset: usize) -> usize {
    loop {
        let rest = text.get(offset..).unwrap_or_default();
        let trimmed = rest.trim_start();
        offset += rest.len() - trimmed.len();
        if !trimmed.starts_with("//") {
            return offset;
        }
        offset += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
    }
}

/// Strict validation; answers the warnings.
fn validate(
    schema: Schema,
    set: &PolicySet,
    source: &Source,
    places: &HashMap<PolicyId, Place<'_>>,
) -> Result<Vec<String>, PolicyError> {
    let result = Validator::new(schema).validate(set, ValidationMode::Strict);
    let flaw = |id: &PolicyId, error: DetailedError| match places.get(id) {
        Some(place) => Flaw::of_cedar(source.shown(place.file), place.text, &error, Some(place.offset)),
        None => Flaw { file: id.to_string(), at: None, what: error.message },
    };
    let flaws = result.validation_errors().map(|error| flaw(error.policy_id(), DetailedError::from(error)));
    PolicyError::if_any(flaws.collect())?;
    let warnings =
        result.validation_warnings().map(|warning| flaw(warning.policy_id(), DetailedError::from(warning)));
    Ok(warnings.map(|warning| warning.to_string()).collect())
}
