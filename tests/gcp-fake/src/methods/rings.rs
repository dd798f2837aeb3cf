//! Locations and key rings.

use super::list::page;
use crate::{
    fields::Fields,
    http::Request,
    names::{LOCATIONS, Location, Project, RingName, check_id},
    refused::Refused,
    service::State,
};
use serde_json::{Value, json};

pub(super) fn locations(project: &Project, request: &Request) -> Result<Value, Refused> {
    let message = |id: &str| location_message(&Location { project: project.clone(), id: id.into() });
    let mut answer = page(request, "locations", LOCATIONS.into_iter().map(message).collect())?;
    // This list is google.cloud.location's, which counts nothing.
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("totalSize");
    }
    Ok(answer)
}

pub(super) fn location(location: &Location) -> Result<Value, Refused> {
    location.check()?;
    Ok(location_message(location))
}

pub(super) fn create(state: &mut State, location: &Location, request: &Request) -> Result<Value, Refused> {
    location.check()?;
    let id = request.parameter("keyRingId").unwrap_or_default();
    check_id("key_ring_id", id)?;
    let mut fields = Fields::of_body(&request.body)?;
    fields.pass_over(&["name", "createTime"]);
    fields.end()?;
    let name = RingName { location: location.clone(), id: id.into() };
    Ok(state.store.add_ring(&name, state.clock.now())?.message(&name))
}

pub(super) fn get(state: &mut State, name: &RingName) -> Result<Value, Refused> {
    Ok(state.store.ring(name)?.message(name))
}

pub(super) fn list(state: &State, location: &Location, request: &Request) -> Result<Value, Refused> {
    location.check()?;
    let rings = state.store.rings(location).map(|(name, ring)| ring.message(name)).collect();
    page(request, "keyRings", rings)
}

fn location_message(location: &Location) -> Value {
    json!({
        "name": location.to_string(),
        "locationId": location.id,
        "displayName": location.id,
        "metadata": {
            "@type": "type.googleapis.com/google.cloud.kms.v1.LocationMetadata",
            "hsmAvailable": true,
        },
    })
}
