//! Gateways whose selector selects no pod, so that nobody applies them (IST0101). Several rules about Gateways need their pods and
//! say so.

use crate::analyze::finding;
use crate::analyze::pods::selector_text;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::GatewaySpec;
use crate::resource::Resource;

pub(super) fn unselected(resource: &Resource, gateway: &GatewaySpec) -> Diagnostic {
    let mut found = finding(
        "IST0101",
        Level::Error,
        resource,
        FieldPath::root().key("spec").key("selector"),
        format!(
            "Referenced selector not found: {:?}",
            selector_text(&gateway.selector)
        ),
    );
    found.hint =
        Some("no pod has these labels; the ingress gateway has istio=ingressgateway".to_owned());
    found
}
