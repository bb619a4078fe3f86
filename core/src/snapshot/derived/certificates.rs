//! The Secrets that listeners name for their certificates.

use super::Deriver;
use super::backends::granted;
use super::gateway_listeners::GatewayListener;
use crate::model::gateway_api::SecretObjectReference;
use crate::resource::{Kind, Object};
use crate::snapshot::derived::backends::Referrer;

/// What is before the namespace and name of a Secret that is not in the namespace of the gateway, as in Istio. Only derived Gateways have it.
pub(crate) const OTHER_NAMESPACE: &str = "kubernetes-gateway://";

/// Why a listener cannot have a certificate: the reason and a sentence.
pub(super) type NoCertificate = (&'static str, String);

/// The names of a listener's credentials, as servers have them.
pub(super) fn of_listener(
    deriver: &Deriver<'_>,
    listener: &GatewayListener<'_>,
) -> Result<Vec<String>, NoCertificate> {
    let tls = listener.listener.tls.as_ref();
    let references = tls.map_or(&[][..], |tls| &tls.certificate_refs);
    references
        .iter()
        .map(|reference| credential(deriver, listener, reference))
        .collect()
}

/// The name of a Secret that the listener may have.
fn credential(
    deriver: &Deriver<'_>,
    listener: &GatewayListener<'_>,
    reference: &SecretObjectReference,
) -> Result<String, NoCertificate> {
    let group = reference.group.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or("Secret");
    if !group.is_empty() || kind != "Secret" {
        let message = format!("certificates are in Secrets, not in {kind} of {group:?}");
        return Err(("InvalidCertificateRef", message));
    }
    let own = listener.namespace();
    let (namespace, name) = (
        reference.namespace.as_deref().unwrap_or(own),
        &*reference.name,
    );
    let from = Referrer {
        namespace: own,
        kind: listener.source.key.kind.name(),
    };
    if namespace != own && !granted(deriver, (namespace, "Secret", name), from) {
        let message = format!(
            "no ReferenceGrant of {namespace} lets a {} of {own} refer to the Secret {name} there",
            from.kind
        );
        return Err(("RefNotPermitted", message));
    }
    Ok(match namespace == &*listener.gateway.key.namespace {
        true => name.to_owned(),
        false => format!("{OTHER_NAMESPACE}{namespace}/{name}"),
    })
}

/// Whether the certificates of a listener are there and can be used.
pub(super) fn check(
    deriver: &Deriver<'_>,
    listener: &GatewayListener<'_>,
) -> Result<(), NoCertificate> {
    for name in of_listener(deriver, listener)? {
        let of_gateway = &*listener.gateway.key.namespace;
        let other = name.strip_prefix(OTHER_NAMESPACE);
        let other = other.and_then(|name| name.split_once('/'));
        let (namespace, name) = other.unwrap_or((of_gateway, &name));
        let found = deriver.objects.find(Kind::Secret, namespace, name);
        let wrong = match found.map(|found| &found.object) {
            Some(Object::Secret(credential)) => credential.certificate().err(),
            _ => Some("it is not there"),
        };
        if let Some(wrong) = wrong {
            let message = format!("Secret {namespace}/{name}: {wrong}");
            return Err(("InvalidCertificateRef", message));
        }
    }
    Ok(())
}
