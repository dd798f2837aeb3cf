//! The methods of KeyManagementService, each as Google documents it.

mod filter;
mod keys;
mod list;
mod public_key;
mod rings;
mod sign;
mod versions;

pub(crate) use keys::template;

use crate::{http::Request, refused::Refused, route::Route, rules::Fate, service::Service};
use serde_json::Value;

/// Does what the call asks for; gives the message with names for enumerations.
pub(crate) fn act(
    service: &Service,
    route: &Route,
    request: &Request,
    fate: &Fate,
) -> Result<Value, Refused> {
    check_parameters(route, request)?;
    match route {
        Route::ListLocations(project) => rings::locations(project, request),
        Route::GetLocation(location) => rings::location(location),
        Route::CreateKeyRing(location) => rings::create(&mut service.state(), location, request),
        Route::GetKeyRing(ring) => rings::get(&mut service.state(), ring),
        Route::ListKeyRings(location) => rings::list(&service.state(), location, request),
        Route::CreateCryptoKey(ring) => keys::create(&mut service.state(), ring, request),
        Route::GetCryptoKey(key) => keys::get(&mut service.state(), key),
        Route::ListCryptoKeys(ring) => keys::list(&mut service.state(), ring, request),
        Route::UpdateCryptoKey(key) => keys::update(&mut service.state(), key, request),
        Route::CreateCryptoKeyVersion(key) => versions::create(&mut service.state(), key, request),
        Route::GetCryptoKeyVersion(version) => versions::get(&mut service.state(), version),
        Route::ListCryptoKeyVersions(key) => versions::list(&mut service.state(), key, request),
        Route::UpdateCryptoKeyVersion(version) => versions::update(&mut service.state(), version, request),
        Route::DestroyCryptoKeyVersion(version) => versions::destroy(&mut service.state(), version, request),
        Route::RestoreCryptoKeyVersion(version) => versions::restore(&mut service.state(), version, request),
        Route::GetPublicKey(version) => public_key::get(service, version, request, fate),
        Route::AsymmetricSign(version) => sign::sign(service, version, request, fate),
    }
}

/// A parameter that the method does not have is an error, as it is at Google's.
fn check_parameters(route: &Route, request: &Request) -> Result<(), Refused> {
    let known: &[&str] = match route {
        Route::ListLocations(_) => &["pageSize", "pageToken", "filter"],
        Route::CreateKeyRing(_) => &["keyRingId"],
        Route::ListKeyRings(_) => &["pageSize", "pageToken", "filter", "orderBy"],
        Route::CreateCryptoKey(_) => &["cryptoKeyId", "skipInitialVersionCreation", "trustedWrappingEnabled"],
        Route::ListCryptoKeys(_) => &["pageSize", "pageToken", "filter", "orderBy", "versionView"],
        Route::ListCryptoKeyVersions(_) => &["pageSize", "pageToken", "filter", "orderBy", "view"],
        Route::UpdateCryptoKey(_) | Route::UpdateCryptoKeyVersion(_) => &["updateMask"],
        Route::GetPublicKey(_) => &["publicKeyFormat"],
        _ => &[],
    };
    let unknown = |name: &str| !name.starts_with('$') && name != "alt" && !known.contains(&name);
    match request.query.iter().find(|(name, _)| unknown(name)) {
        None => Ok(()),
        Some((name, _)) => Err(Refused::invalid(&format!(
            "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter."
        ))),
    }
}
