//! How what a Gateway runs on is called and labelled, and which Gateways run on something of the control plane's.

use std::collections::BTreeMap;

use crate::model::gateway_api::GatewaySpec;
use crate::resource::Resource;
use crate::snapshot::GATEWAY_LABEL;

/// Label of what the control plane makes for Gateways.
pub const MANAGED_LABEL: &str = "gateway.istio.io/managed";
/// Its value.
pub const MANAGED_VALUE: &str = "istio.io-gateway-controller";

const CLASS_LABEL: &str = "gateway.networking.k8s.io/gateway-class-name";
/// Names the objects otherwise than after Gateway and class.
const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
/// Names a service account that is there already.
const ACCOUNT: &str = "gateway.istio.io/service-account";
/// Longest value of a label and name of a Service.
const LONGEST: usize = 63;

/// Whether pods and a Service are made for a Gateway: it names none that are there. One address of a type other than `Hostname` is asked
/// of the Service.
pub(crate) fn is_deployed(spec: &GatewaySpec) -> bool {
    match spec.addresses.as_slice() {
        [] => true,
        [one] => one.kind.as_deref() != Some("Hostname"),
        _ => false,
    }
}

/// Name of the Deployment and Service of a Gateway.
///
/// # Errors
/// Why there can be none.
pub(crate) fn object_name(resource: &Resource, spec: &GatewaySpec) -> Result<String, String> {
    let name = match resource.meta.annotations.get(NAME_OVERRIDE) {
        Some(name) => name.clone(),
        None => format!("{}-{}", resource.key.name, &*spec.gateway_class_name),
    };
    if name.len() > LONGEST || name.contains('.') {
        return Err(format!(
            "the Service of the gateway would be called {name}, which is no name of {LONGEST} characters without dots at most; the annotation {NAME_OVERRIDE} gives it another"
        ));
    }
    Ok(name)
}

/// Name of the service account of a Gateway's pods, whose other objects have a name.
pub(crate) fn account_name(resource: &Resource, object_name: &str) -> String {
    let own = resource.meta.annotations.get(ACCOUNT);
    own.map_or(object_name, String::as_str).to_owned()
}

/// The labels that tell what is made for a Gateway from all else.
pub(super) fn labels(resource: &Resource, spec: &GatewaySpec) -> BTreeMap<String, String> {
    [
        (MANAGED_LABEL, MANAGED_VALUE),
        (GATEWAY_LABEL, &*resource.key.name),
        (CLASS_LABEL, &*spec.gateway_class_name),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}
