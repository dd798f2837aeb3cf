//! Who may do what.

use crate::refused::Refused;
use catalyst_rigs::gcp::{Binding, Grant, api::Code};

/// The bindings. As long as there is none, everybody may do everything.
#[derive(Debug, Default)]
pub(crate) struct Policy(Vec<Binding>);

impl Policy {
    pub(crate) fn add(&mut self, binding: Binding) -> Result<(), Refused> {
        if let Grant::Role(role) = &binding.grant
            && permissions(role).is_none()
        {
            return Err(Refused::invalid(&format!("Role {role} is not supported for this resource.")));
        }
        self.0.push(binding);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// An error unless a binding allows it, on the resource or on one that it is in.
    pub(crate) fn check(
        &self,
        caller: Option<&str>,
        permission: &str,
        resource: &str,
    ) -> Result<(), Refused> {
        let of_caller = || self.0.iter().filter(|binding| binding.caller.as_deref() == caller);
        let allowed = of_caller()
            .any(|binding| within(resource, &binding.resource) && grants(&binding.grant, permission));
        if self.0.is_empty() || allowed {
            return Ok(());
        }
        if of_caller().next().is_none() {
            return Err(Refused::new(
                Code::Unauthenticated,
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                 other valid authentication credential.",
            ));
        }
        Err(Refused::permission(permission, &resource))
    }
}

/// Whether a resource is this one or in it.
pub(crate) fn within(resource: &str, outer: &str) -> bool {
    resource.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn grants(grant: &Grant, permission: &str) -> bool {
    match grant {
        Grant::Permissions(list) => list.iter().any(|one| one == permission),
        Grant::Role(role) => permissions(role).is_some_and(|list| list.contains(&permission)),
    }
}

/// The permissions of a role that concern what the fake has (Google's table of Cloud KMS roles).
fn permissions(role: &str) -> Option<&'static [&'static str]> {
    Some(match role {
        "roles/cloudkms.signer" => {
            &["cloudkms.cryptoKeyVersions.useToSign", "cloudkms.locations.get", "cloudkms.locations.list"]
        }
        "roles/cloudkms.publicKeyViewer" => {
            &["cloudkms.cryptoKeyVersions.viewPublicKey", "cloudkms.locations.get", "cloudkms.locations.list"]
        }
        "roles/cloudkms.signerVerifier" => &[
            "cloudkms.cryptoKeyVersions.useToSign",
            "cloudkms.cryptoKeyVersions.viewPublicKey",
            "cloudkms.locations.get",
            "cloudkms.locations.list",
        ],
        "roles/cloudkms.viewer" => &[
            "cloudkms.cryptoKeyVersions.get",
            "cloudkms.cryptoKeyVersions.list",
            "cloudkms.cryptoKeys.get",
            "cloudkms.cryptoKeys.list",
            "cloudkms.keyRings.get",
            "cloudkms.keyRings.list",
            "cloudkms.locations.get",
            "cloudkms.locations.list",
        ],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use catalyst_rigs::gcp::{Binding, Grant, api::Code};

    const SIGN: &str = "cloudkms.cryptoKeyVersions.useToSign";

    fn binding(grant: Grant, resource: &str) -> Binding {
        Binding { caller: Some("t".into()), grant, resource: resource.into() }
    }

    #[test]
    fn a_binding_holds_below_its_resource_and_ends_that_all_is_allowed() {
        let mut policy = Policy::default();
        assert!(policy.check(None, SIGN, "projects/p/k").is_ok());
        policy.add(binding(Grant::Role("roles/cloudkms.signer".into()), "projects/p")).unwrap();
        let code =
            |caller, permission, resource| policy.check(caller, permission, resource).err().map(|e| e.code);
        assert_eq!(code(Some("t"), SIGN, "projects/p/k"), None);
        assert_eq!(code(Some("t"), SIGN, "projects/prod/k"), Some(Code::PermissionDenied));
        assert_eq!(
            code(Some("t"), "cloudkms.cryptoKeyVersions.get", "projects/p/k"),
            Some(Code::PermissionDenied)
        );
        assert_eq!(code(Some("other"), SIGN, "projects/p/k"), Some(Code::Unauthenticated));
        assert_eq!(code(None, SIGN, "projects/p/k"), Some(Code::Unauthenticated));
    }

    #[test]
    fn a_role_that_does_not_exist_cannot_be_bound() {
        assert!(
            Policy::default().add(binding(Grant::Role("roles/cloudkms.all".into()), "projects/p")).is_err()
        );
    }
}
