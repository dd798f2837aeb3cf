//! A service's identity in the parts that policy speaks of.

use super::{InstanceId, InstanceIdError, ServiceType, SpiffeId, TrustDomain, UnknownServiceType};

/// One instance of one service type in a trust domain; the only SPIFFE ids this CA knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    service_type: ServiceType,
    instance_id: InstanceId,
    spiffe_id: SpiffeId,
}

/// Why a SPIFFE id names no service of this CA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// Another trust domain.
    #[error("the trust domain is '{found}', this CA's is '{expected}'")]
    TrustDomain {
        /// What the id says.
        found: String,
        /// What it would have to say.
        expected: TrustDomain,
    },
    /// The path is not `<service-type>/<instance-id>`.
    #[error("the path '{0}' is not <service-type>/<instance-id>")]
    Path(String),
    /// The first part of the path.
    #[error(transparent)]
    ServiceType(#[from] UnknownServiceType),
    /// The last part of the path.
    #[error(transparent)]
    InstanceId(#[from] InstanceIdError),
}

impl Workload {
    /// The identity `spiffe://<trust-domain>/<service-type>/<instance-id>`.
    ///
    /// # Errors
    /// [`WorkloadError::Path`] only if the whole passes the 2048 bytes of a SPIFFE id, which the parts' own limits
    /// rule out.
    pub fn new(
        domain: &TrustDomain,
        service_type: ServiceType,
        instance_id: InstanceId,
    ) -> Result<Self, WorkloadError> {
        let text = format!("spiffe://{domain}/{service_type}/{instance_id}");
        let spiffe_id = text.parse().map_err(|_| WorkloadError::Path(text))?;
        Ok(Self { service_type, instance_id, spiffe_id })
    }

    /// Reads an identity of this CA from its SPIFFE id.
    ///
    /// # Errors
    /// Another trust domain, an unknown service type or a last segment that is no instance id.
    pub fn of(domain: &TrustDomain, spiffe_id: SpiffeId) -> Result<Self, WorkloadError> {
        if spiffe_id.trust_domain() != domain.as_str() {
            return Err(WorkloadError::TrustDomain {
                found: spiffe_id.trust_domain().to_owned(),
                expected: domain.clone(),
            });
        }
        let path = spiffe_id.path();
        let (service_type, instance_id) =
            path.rsplit_once('/').ok_or_else(|| WorkloadError::Path(path.to_owned()))?;
        Ok(Self { service_type: service_type.parse()?, instance_id: instance_id.parse()?, spiffe_id })
    }

    /// What kind of service it is.
    pub fn service_type(&self) -> ServiceType {
        self.service_type
    }

    /// Which one of its kind.
    pub fn instance_id(&self) -> &InstanceId {
        &self.instance_id
    }

    /// Its SPIFFE id.
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_from_its_spiffe_id_and_written_back() {
        let domain: TrustDomain = "catalyst.example.com".parse().unwrap();
        for service_type in ServiceType::ALL {
            let made = Workload::new(&domain, service_type, "node-a.example.org".parse().unwrap()).unwrap();
            assert_eq!(Workload::of(&domain, made.spiffe_id().clone()), Ok(made));
        }
    }

    #[test]
    fn foreign_ids_are_refused_with_the_reason() {
        let domain: TrustDomain = "a.example".parse().unwrap();
        let read = |text: &str| Workload::of(&domain, text.parse().unwrap()).unwrap_err();
        assert!(matches!(read("spiffe://b.example/node/n1"), WorkloadError::TrustDomain { .. }));
        assert!(matches!(read("spiffe://a.example/n1"), WorkloadError::Path(_)));
        assert!(matches!(read("spiffe://a.example/envoy/n1"), WorkloadError::ServiceType(_)));
        assert!(matches!(read("spiffe://a.example/node/x/n1"), WorkloadError::ServiceType(_)));
        assert!(matches!(read("spiffe://a.example/node/N1"), WorkloadError::InstanceId(_)));
        assert!(matches!(read("spiffe://a.example/node/orch-1"), WorkloadError::InstanceId(_)));
    }
}
