//! Making tokens. Nobody grants more than they hold.

use super::{
    Access, AccessError, Caller, Claims, Confirmation, Credential, Entity,
    claims::{Bootstrap, SpiffeIdText},
    token_key::{LONGEST_TOKEN, Signer, internal},
    vocabulary::{Action, PrincipalKind, Resource},
};
use crate::{
    identity::{Fingerprint, InstanceId, ServiceType, Timestamp, Workload},
    store::{BootstrapGrant, CertificateStatus, TokenRecord},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;

/// How long a token lives when nothing is said.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3_600);
/// No token lives longer.
pub(super) const LONGEST_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// The subject that makes a bootstrap credential.
const BOOTSTRAP: &str = "bootstrap";
const LONGEST_TEXT: usize = 255;
const MOST_ITEMS: usize = 100;
const MOST_USES: u32 = 100_000;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct MintRequest {
    /// Whom it is for; `bootstrap` makes a bootstrap credential.
    pub subject: String,
    /// What it may be; means nothing to a bootstrap credential.
    pub principal: PrincipalKind,
    /// Whom it speaks for. Empty sets take those of the minter.
    pub entity: Entity,
    /// Names by which it can be revoked.
    pub sans: Vec<String>,
    /// How long it lives.
    pub expires_in: Option<Duration>,
    /// The certificate that must be presented with it.
    pub certificate: Option<Fingerprint>,
    /// What a bootstrap credential is good for.
    pub bootstrap: BootstrapRequest,
}

/// What a bootstrap credential is good for.
#[derive(Clone, Debug, Default)]
pub struct BootstrapRequest {
    /// The one identity that it serves.
    pub workload: Option<Workload>,
    /// It serves any identity.
    pub any_identity: bool,
    /// How many certificates it brings.
    pub uses: Option<u32>,
}

/// A token that was made, and is recorded.
#[derive(Debug)]
pub struct Minted {
    /// The JWT.
    pub token: SecretString,
    /// Its name.
    pub jti: String,
    /// Its end.
    pub expires_at: Timestamp,
    /// What the minter should know.
    pub warnings: Vec<String>,
}

impl Access {
    /// Makes a token. The caller has been allowed [`Action::TokenCreate`].
    ///
    /// # Errors
    /// [`AccessError::Beyond`] what the minter holds; [`AccessError::Request`]; the key store's and the store's.
    pub async fn mint(&self, caller: &Caller, request: MintRequest) -> Result<Minted, AccessError> {
        let Credential::Token { expires: own_end, is_bound } = caller.credential else {
            return Err(AccessError::Beyond("only the holder of a token makes tokens".to_owned()));
        };
        check_texts(&request)?;
        self.check_binding(&request, is_bound).await?;
        let mut warnings = Vec::new();
        let grant = self.grant(caller, &request, &mut warnings)?;
        let default = if grant.is_some() { self.config.bootstrap_ttl } else { DEFAULT_LIFETIME };
        let now = self.clock.now();
        let exp = end(now, request.expires_in, default, own_end)?;
        let (principal, entity) = match &grant {
            Some(_) => (PrincipalKind::Bootstrap, without_scope(request.entity)),
            None => {
                self.check_principal(caller, &request)?;
                (request.principal, self.scoped(caller, request.entity)?)
            }
        };
        let claims = Claims {
            iss: self.config.own.spiffe_id().to_string(),
            sub: request.subject,
            jti: random_id()?,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp,
            aud: self.config.own.spiffe_id().trust_domain().to_owned(),
            principal: principal.claim(),
            entity,
            cnf: request.certificate.map(Confirmation::to),
            bootstrap: grant,
        };
        let ring = self.ring()?;
        let record = record(&claims, request.sans, request.certificate)?;
        let token = ring.signer()?.sign(&claims).await?;
        if token.expose_secret().len() > LONGEST_TOKEN {
            return Err(wrong(format!(
                "the token would have more than {LONGEST_TOKEN} bytes, which nobody takes: give it fewer or shorter trusted nodes and domains"
            )));
        }
        self.store.record_token(&record, &self.stamp(caller.actor.clone())).await?;
        tracing::info!(target: "catalyst.auth", subject = claims.sub, principal = claims.principal, jti = claims.jti,
            expires_at = %record.expires_at, by = %caller.actor, "Token minted");
        Ok(Minted { token, jti: claims.jti, expires_at: record.expires_at, warnings })
    }

    /// Whoever holds a token that is worth nothing without a certificate makes no others than such; bootstrap
    /// credentials are for one CSR. A certificate that has ended or was revoked binds nothing.
    async fn check_binding(&self, request: &MintRequest, minter_is_bound: bool) -> Result<(), AccessError> {
        let Some(certificate) = request.certificate else {
            if minter_is_bound && request.subject != BOOTSTRAP {
                let sentence = "the minter's token is bound to a certificate, so name the one that this token is bound to";
                return Err(AccessError::Beyond(sentence.to_owned()));
            }
            return Ok(());
        };
        let row = self.store.certificate_by_fingerprint(certificate, self.clock.now()).await?;
        match row.map(|row| row.status) {
            Some(CertificateStatus::Active) | None => Ok(()),
            Some(status) => Err(wrong(format!(
                "the certificate {certificate} is {}: bind the token to one that is active",
                status.as_str()
            ))),
        }
    }

    /// What a bootstrap credential will be good for; `None` for every other token.
    fn grant(
        &self,
        caller: &Caller,
        request: &MintRequest,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Bootstrap>, AccessError> {
        let BootstrapRequest { workload, any_identity, uses } = &request.bootstrap;
        if request.subject != BOOTSTRAP {
            if workload.is_some() || *any_identity || uses.is_some() {
                return Err(wrong("spiffeId, anyIdentity and uses are for the subject 'bootstrap'"));
            }
            return Ok(None);
        }
        if request.certificate.is_some() {
            return Err(wrong("a bootstrap credential is bound to no certificate: its holder has none yet"));
        }
        if request.principal != PrincipalKind::Bootstrap {
            warnings.push(format!(
                "a bootstrap credential is good for the bundle and for CSRs only: the principal {} is not used",
                request.principal
            ));
        }
        let uses = uses.unwrap_or(1);
        match workload {
            Some(_) if *any_identity => Err(wrong("spiffeId and anyIdentity exclude each other")),
            Some(_) if uses != 1 => Err(wrong("a credential for one identity serves once: leave uses out")),
            Some(workload) => self.grant_for(caller, workload).map(Some),
            None => {
                if !(1..=MOST_USES).contains(&uses) {
                    return Err(wrong(format!("uses is 1 to {MOST_USES}")));
                }
                if !any_identity {
                    warnings.push(
                        "this credential serves any identity: name the one it is for with --spiffe-id, or say --any-identity"
                            .to_owned(),
                    );
                }
                self.must_hold(caller, Action::CertSign, &Resource::whole(), "bootstrap any identity")?;
                Ok(Some(Bootstrap { spiffe_id: None, uses }))
            }
        }
    }

    fn grant_for(&self, caller: &Caller, workload: &Workload) -> Result<Bootstrap, AccessError> {
        if workload.service_type() == ServiceType::Auth {
            return Err(wrong("auth identities are the service's own: none is bootstrapped"));
        }
        let resource = self.certificates_of(workload);
        self.must_hold(caller, Action::CertSign, &resource, workload.spiffe_id().as_str())?;
        Ok(Bootstrap { spiffe_id: Some(SpiffeIdText(workload.spiffe_id().clone())), uses: 1 })
    }

    /// At or below one's own, where ADMIN is above all and the others are beside each other.
    fn check_principal(&self, caller: &Caller, request: &MintRequest) -> Result<(), AccessError> {
        let own = caller.facts.kind;
        let asked = request.principal;
        if matches!(asked, PrincipalKind::Bootstrap | PrincipalKind::Svid) {
            return Err(wrong(
                "a token is for ADMIN, NODE, NODE_CUSTODIAN, DATA_CUSTODIAN or USER; the subject 'bootstrap' makes a bootstrap credential",
            ));
        }
        if asked == PrincipalKind::Admin && !caller.facts.is_global_admin() {
            return Err(AccessError::Beyond("only a global ADMIN makes an ADMIN".to_owned()));
        }
        if own != PrincipalKind::Admin && own != asked {
            return Err(AccessError::Beyond(format!("a {own} makes no {asked}")));
        }
        Ok(())
    }

    /// The entity with sets that are subsets of the minter's, and a node whose certificates the minter may have signed.
    fn scoped(&self, caller: &Caller, mut entity: Entity) -> Result<Entity, AccessError> {
        entity.trusted_nodes = subset(entity.trusted_nodes, &caller.facts.trusted_nodes, "nodes")?;
        entity.trusted_domains = subset(entity.trusted_domains, &caller.facts.trusted_domains, "domains")?;
        if let Some(node) = &entity.node_id {
            node.parse::<InstanceId>().map_err(|error| wrong(format!("nodeId: {error}")))?;
            self.must_hold(caller, Action::CertSign, &self.node(node), node)?;
        }
        Ok(entity)
    }

    fn must_hold(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
        what: &str,
    ) -> Result<(), AccessError> {
        self.authorize(caller, action, resource)
            .map_err(|_| AccessError::Beyond(format!("the minter may not itself {action} for {what}")))
    }

    /// A system token, a global ADMIN for a year, with the record that makes it valid; recorded by the caller.
    pub(super) async fn new_system_token(
        &self,
        signer: &Signer,
    ) -> Result<(SecretString, TokenRecord), AccessError> {
        let now = self.clock.now();
        let claims = Claims {
            iss: self.config.own.spiffe_id().to_string(),
            sub: "system".to_owned(),
            jti: random_id()?,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: now.plus_seconds(i64::try_from(LONGEST_LIFETIME.as_secs()).unwrap_or(0)).seconds(),
            aud: self.config.own.spiffe_id().trust_domain().to_owned(),
            principal: PrincipalKind::Admin.claim(),
            entity: Entity {
                id: "system".to_owned(),
                name: "system".to_owned(),
                entity_type: "service".to_owned(),
                node_id: None,
                trusted_nodes: Vec::new(),
                trusted_domains: Vec::new(),
            },
            cnf: None,
            bootstrap: None,
        };
        Ok((signer.sign(&claims).await?, record(&claims, Vec::new(), None)?))
    }
}

fn wrong(sentence: impl Into<String>) -> AccessError {
    AccessError::Request(sentence.into())
}

/// `exp`, no later than the minter's own.
fn end(
    now: Timestamp,
    asked: Option<Duration>,
    default: Duration,
    own_end: Option<Timestamp>,
) -> Result<i64, AccessError> {
    let lifetime = asked.unwrap_or(default);
    if lifetime < Duration::from_secs(1) || lifetime > LONGEST_LIFETIME {
        return Err(wrong("a token lives 1 second to 365 days"));
    }
    let end = now.seconds() + i64::try_from(lifetime.as_secs()).unwrap_or(0);
    match own_end {
        Some(own) if end > own.seconds() && asked.is_some() => {
            Err(AccessError::Beyond(format!("the minter's own token ends at {own}")))
        }
        Some(own) => Ok(end.min(own.seconds())),
        None => Ok(end),
    }
}

/// An empty set means any, so that whoever has a scope passes it on.
fn subset(asked: Vec<String>, own: &[String], what: &str) -> Result<Vec<String>, AccessError> {
    if asked.is_empty() {
        return Ok(own.to_vec());
    }
    if let Some(beyond) = asked.iter().find(|item| !own.is_empty() && !own.contains(item)) {
        return Err(AccessError::Beyond(format!("'{beyond}' is not among the minter's trusted {what}")));
    }
    Ok(asked)
}

/// A bootstrap credential has no scope of its own.
fn without_scope(entity: Entity) -> Entity {
    Entity { node_id: None, trusted_nodes: Vec::new(), trusted_domains: Vec::new(), ..entity }
}

fn check_texts(request: &MintRequest) -> Result<(), AccessError> {
    let entity = &request.entity;
    let one = [
        ("subject", &request.subject),
        ("entity.id", &entity.id),
        ("entity.name", &entity.name),
        ("entity.type", &entity.entity_type),
    ];
    let lists = [
        ("sans", &request.sans),
        ("trustedNodes", &entity.trusted_nodes),
        ("trustedDomains", &entity.trusted_domains),
    ];
    if let Some((name, _)) = lists.iter().find(|(_, list)| list.len() > MOST_ITEMS) {
        return Err(wrong(format!("{name} has more than {MOST_ITEMS} items")));
    }
    let many = lists.iter().flat_map(|(name, list)| list.iter().map(move |item| (*name, item)));
    for (name, text) in one.into_iter().chain(many) {
        if text.is_empty() || text.chars().count() > LONGEST_TEXT || text.chars().any(steers) {
            return Err(wrong(format!(
                "{name}: 1 to {LONGEST_TEXT} characters, none of them a control or bidirectional character"
            )));
        }
    }
    Ok(())
}

/// Control characters, and those that turn the direction of what follows (Unicode, UAX 9): lists would show them as
/// something else.
fn steers(character: char) -> bool {
    let bidirectional = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || bidirectional
}

fn record(
    claims: &Claims,
    sans: Vec<String>,
    certificate: Option<Fingerprint>,
) -> Result<TokenRecord, AccessError> {
    let grant = |grant: &Bootstrap| BootstrapGrant {
        spiffe_id: grant.spiffe_id.as_ref().map(|text| text.0.clone()),
        uses: grant.uses,
    };
    Ok(TokenRecord {
        jti: claims.jti.clone(),
        subject: claims.sub.clone(),
        principal: claims.principal.clone(),
        entity: serde_json::to_string(&claims.entity).map_err(internal)?,
        sans,
        certificate_fingerprint: certificate,
        bootstrap: claims.bootstrap.as_ref().map(grant),
        issued_at: Timestamp::from_seconds(claims.iat),
        expires_at: Timestamp::from_seconds(claims.exp),
        revoked_at: None,
    })
}

/// 128 random bits, base64url.
fn random_id() -> Result<String, AccessError> {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| AccessError::Internal("no random numbers".into()))?;
    Ok(URL_SAFE_NO_PAD.encode(id))
}
