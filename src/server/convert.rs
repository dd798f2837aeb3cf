//! Between the words of the house and the shapes on the wire.

use super::problem::Problem;
use crate::{
    access::{BootstrapRequest, Claims, Entity, MintRequest, PrincipalKind, Selector},
    api,
    authority::{Bundle, Health, Status, Svid},
    identity::{
        CaRole, Fingerprint, ServiceType, SpiffeId, SpkiHash, TrustDomain, Ttl, Workload, WorkloadError,
        lifetime,
    },
    store::{AuditRecord, CaRow, CertificateRow, Restoration, RevocationReason, TokenRecord},
};
use axum::http::StatusCode;
use catalyst_signing::SignatureAlgorithm;

fn refused(code: &'static str, sentence: impl ToString) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, sentence.to_string())
}

/// The identity of a service type and an instance id.
pub(super) fn workload(
    domain: &TrustDomain,
    service_type: &str,
    instance_id: &str,
) -> Result<Workload, Problem> {
    let not_allowed = |error: WorkloadError| refused("identity_not_allowed", error);
    let service_type: ServiceType =
        service_type.parse().map_err(|error| not_allowed(WorkloadError::from(error)))?;
    let instance_id = instance_id.parse().map_err(|error| not_allowed(WorkloadError::from(error)))?;
    Workload::new(domain, service_type, instance_id).map_err(not_allowed)
}

/// The identity of a SPIFFE id.
pub(super) fn workload_of(domain: &TrustDomain, spiffe_id: &str) -> Result<Workload, Problem> {
    let spiffe_id: SpiffeId = spiffe_id.parse().map_err(|error| refused("identity_not_allowed", error))?;
    Workload::of(domain, spiffe_id).map_err(|error| refused("identity_not_allowed", error))
}

pub(super) fn ttl(seconds: Option<i64>) -> Result<Option<Ttl>, Problem> {
    seconds.map(Ttl::try_from).transpose().map_err(|error| refused("ttl_not_allowed", error))
}

pub(super) fn algorithm(name: Option<&str>) -> Result<Option<SignatureAlgorithm>, Problem> {
    name.map(str::parse).transpose().map_err(|error| refused("algorithm_unknown", error))
}

/// A hold comes with a denial alone.
pub(super) fn revocation_reason(word: Option<&str>) -> Result<RevocationReason, Problem> {
    use RevocationReason::*;
    let word = word.unwrap_or(Unspecified.name());
    let known = [Unspecified, KeyCompromise, CaCompromise, Superseded, CessationOfOperation];
    known.into_iter().find(|reason| reason.name() == word).ok_or_else(|| {
        refused(
            "reason_unknown",
            format!("the reason is one of {}", known.map(RevocationReason::name).join(", ")),
        )
    })
}

pub(super) fn signed(svid: Svid) -> api::SignedCertificate {
    api::SignedCertificate {
        certificate_pem: svid.certificate_pem,
        chain: svid.chain,
        expires_at: svid.expires_at.to_string(),
        renew_after: svid.renew_after.to_string(),
        fingerprint: svid.fingerprint.to_string(),
        serial: svid.serial.to_string(),
    }
}

pub(super) fn ca(row: &CaRow) -> api::Ca {
    let certificate = &row.certificate;
    let made = row.key.made.as_ref();
    api::Ca {
        fingerprint: Fingerprint::of_certificate(&certificate.der).to_string(),
        ski: certificate.ski.to_string(),
        role: certificate.role.to_string(),
        generation: certificate.generation,
        common_name: certificate.common_name.clone(),
        algorithm: row.key.intention.algorithm.clone(),
        state: if row.revoked_at.is_some() { "revoked" } else { row.key.state.as_str() }.to_owned(),
        published_at: row.published_at.to_string(),
        activated_at: row.activated_at.map(|at| at.to_string()),
        expires_at: certificate.not_after.to_string(),
        issued_cert_count: row.issued_count,
        key_uri: made.map(|made| made.uri.clone()).unwrap_or_default(),
        spki_sha256: made.map(|made| SpkiHash::of_spki(&made.spki).to_string()).unwrap_or_default(),
    }
}

pub(super) fn status(status: &Status) -> api::Status {
    let active = |role: CaRole| status.active(role).map(ca);
    let in_bundle = |row: &&CaRow| row.certificate.role != CaRole::Root && row.is_live(status.at);
    api::Status {
        status: match status.health {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Uninitialized => "uninitialized",
            Health::Recovery => "recovery",
        }
        .to_owned(),
        recovery: status.recovery.as_ref().map(recovery),
        trust_domain: status.trust_domain.to_string(),
        root_ca: active(CaRole::Root),
        services_ca: active(CaRole::Services),
        transport_ca: active(CaRole::Transport),
        intermediates: status.cas.iter().filter(in_bundle).map(ca).collect(),
        active_cert_count: status.summary.active_certificates,
        denied_identity_count: status.summary.denied_identities,
        backup: None,
        warnings: [status.warnings.as_slice(), status.notes.as_slice()].concat(),
    }
}

/// A restore that waits to be confirmed, or was.
pub(super) fn recovery(restored: &Restoration) -> api::Recovery {
    api::Recovery {
        snapshot_at: restored.snapshot_at.to_string(),
        restored_at: restored.restored_at.to_string(),
        confirmed_at: restored.confirmed_at.map(|at| at.to_string()),
    }
}

/// Both networks' bundles; with `issuing_only` without the roots.
pub(super) fn bundle(bundle: &Bundle, issuing_only: bool) -> api::CaBundle {
    api::CaBundle {
        trust_domain: bundle.trust_domain.to_string(),
        services_bundle: bundle.network(CaRole::Services, issuing_only),
        transport_bundle: bundle.network(CaRole::Transport, issuing_only),
        version: bundle.version,
        expires_at: bundle.expires_at.to_string(),
    }
}

pub(super) fn certificate(row: CertificateRow) -> api::CertificateItem {
    api::CertificateItem {
        serial: row.serial.to_string(),
        spiffe_id: row.spiffe_id.map(|id| id.to_string()),
        fingerprint: row.fingerprint.to_string(),
        expires_at: row.not_after.to_string(),
        status: row.status.as_str().to_owned(),
        certificate_type: row.certificate_type,
        common_name: row.common_name,
    }
}

pub(super) fn certificate_detail(row: CertificateRow) -> api::CertificateDetail {
    api::CertificateDetail {
        certificate_pem: row.certificate_pem.clone(),
        issuer_serial: row.issuer_serial.to_string(),
        not_before: row.not_before.to_string(),
        created_at: row.created_at.to_string(),
        item: certificate(row),
    }
}

pub(super) fn fingerprint(text: Option<&str>) -> Result<Option<Fingerprint>, Problem> {
    text.map(str::parse).transpose().map_err(|error| refused("fingerprint_malformed", error))
}

pub(super) fn unknown_action(word: &str) -> Problem {
    let word: String = word.chars().take(100).collect();
    refused("action_unknown", format!("'{word}' is no action: see docs/access.md for all of them"))
}

pub(super) fn mint_request(domain: &TrustDomain, request: api::MintRequest) -> Result<MintRequest, Problem> {
    let principal = PrincipalKind::parse(&request.principal).map_err(|_| {
        refused(
            "principal_unknown",
            "the principal is one of ADMIN, NODE, NODE_CUSTODIAN, DATA_CUSTODIAN, USER, also with CATALYST:: before it",
        )
    })?;
    let workload = request.spiffe_id.as_deref().map(|id| workload_of(domain, id)).transpose()?;
    let entity = request.entity;
    Ok(MintRequest {
        subject: request.subject,
        principal,
        entity: Entity {
            id: entity.id,
            name: entity.name,
            entity_type: entity.entity_type,
            node_id: entity.node_id,
            trusted_nodes: entity.trusted_nodes.unwrap_or_default(),
            trusted_domains: entity.trusted_domains.unwrap_or_default(),
        },
        sans: request.sans.unwrap_or_default(),
        expires_in: request
            .expires_in
            .as_deref()
            .map(lifetime)
            .transpose()
            .map_err(|error| refused("lifetime_malformed", format!("expiresIn: {error}")))?,
        certificate: fingerprint(request.certificate_fingerprint.as_deref())?,
        bootstrap: BootstrapRequest {
            workload,
            any_identity: request.any_identity.unwrap_or(false),
            uses: request.uses,
        },
    })
}

pub(super) fn selector(request: api::RevokeTokensRequest) -> Result<Selector, Problem> {
    let certificate = fingerprint(request.certificate_fingerprint.as_deref())?;
    match (request.jti, request.san, certificate) {
        (Some(jti), None, None) => Ok(Selector::Jti(jti)),
        (None, Some(san), None) => Ok(Selector::San(san)),
        (None, None, Some(certificate)) => Ok(Selector::Certificate(certificate)),
        _ => Err(refused(
            "selector_missing",
            "say which tokens: exactly one of jti, san and certificateFingerprint",
        )),
    }
}

pub(super) fn token(record: TokenRecord) -> api::TokenItem {
    let entity: serde_json::Value = serde_json::from_str(&record.entity).unwrap_or_default();
    let part = |name: &str| entity.get(name).and_then(|part| part.as_str()).unwrap_or_default().to_owned();
    let fingerprint = record.certificate_fingerprint.map(|fingerprint| fingerprint.to_string());
    let grant = record.bootstrap.as_ref();
    api::TokenItem {
        jti: record.jti,
        sub: record.subject,
        principal: record.principal,
        iat: record.issued_at.seconds(),
        exp: record.expires_at.seconds(),
        expiry: record.expires_at.seconds(),
        cfn: fingerprint.clone(),
        certificate_fingerprint: fingerprint,
        sans: record.sans,
        entity_id: part("id"),
        entity_name: part("name"),
        entity_type: part("type"),
        revoked: record.revoked_at.is_some(),
        spiffe_id: grant.and_then(|grant| grant.spiffe_id.as_ref()).map(ToString::to_string),
        uses: grant.map(|grant| grant.uses),
    }
}

pub(super) fn payload(claims: &Claims) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(claims).map_err(|_| Problem::internal())
}

pub(super) fn audit(record: AuditRecord) -> api::AuditItem {
    api::AuditItem {
        seq: record.seq,
        at: record.at.millis(),
        actor: record.actor,
        action: record.action,
        subject: record.subject,
        detail: record.detail,
        prev_hash: crate::identity::hex(&record.prev_hash),
        hash: crate::identity::hex(&record.hash),
    }
}
