//! Listeners, in the status of the Gateway or ListenerSet that lists them.

use serde_json::{Value, json};

use super::condition::{Condition, conditions};
use super::route::Attached;
use crate::model::gateway_api::TlsModeType;
use crate::snapshot::derived::Deriver;
use crate::snapshot::derived::certificates;
use crate::snapshot::derived::gateway_listeners::{GatewayListener, ListenerFault};

/// The status of a listener, and whether it is in force.
pub(super) fn status(
    deriver: &Deriver<'_>,
    listener: &GatewayListener<'_>,
    attached: &Attached,
    generation: i64,
) -> (Value, bool) {
    let (kinds, has_others) = listener.kinds();
    let accepted = accepted(listener);
    let conflict = match listener.fault {
        Some(fault @ (ListenerFault::ProtocolConflict | ListenerFault::HostnameConflict)) => {
            let (reason, message) = fault.explain(listener);
            Condition::yes("Conflicted", reason, &message)
        }
        _ => Condition::no(
            "Conflicted",
            "NoConflicts",
            "No other listener is in its way",
        ),
    };
    let references = references(deriver, listener, has_others);
    let has_certificate = !matches!(
        references,
        Err(("InvalidCertificateRef" | "RefNotPermitted", _))
    );
    let is_served = accepted.is_ok() && has_certificate;
    let programmed = match is_served {
        true => Condition::yes("Programmed", "Programmed", "The listener is in force"),
        false => Condition::no("Programmed", "Invalid", "The listener is left out"),
    };
    let all = [
        Condition::of("Accepted", accepted.map(|()| "The listener is valid")),
        conflict,
        programmed,
        Condition::of(
            "ResolvedRefs",
            references.map(|()| "All references are resolved"),
        ),
    ];
    let kinds = kinds.iter();
    let kinds = kinds.map(|kind| json!({"group": "gateway.networking.k8s.io", "kind": kind}));
    let name = &*listener.listener.name;
    let status = json!({
        "name": name,
        "attachedRoutes": attached.count(listener.source, name),
        "supportedKinds": kinds.collect::<Vec<_>>(),
        "conditions": conditions(generation, all),
    });
    (status, is_served)
}

fn accepted(listener: &GatewayListener<'_>) -> Result<(), (&'static str, String)> {
    match listener.fault {
        None => Ok(()),
        Some(fault) => Err(fault.explain(listener)),
    }
}

fn references(
    deriver: &Deriver<'_>,
    listener: &GatewayListener<'_>,
    has_other_kinds: bool,
) -> Result<(), (&'static str, String)> {
    let tls = listener.listener.tls.as_ref();
    let mode = tls.map(|tls| tls.mode.unwrap_or(TlsModeType::Terminate));
    if mode == Some(TlsModeType::Terminate) {
        certificates::check(deriver, listener)?;
    }
    if has_other_kinds {
        let message = format!(
            "allowedRoutes name kinds that the protocol {} cannot have",
            listener.listener.protocol
        );
        return Err(("InvalidRouteKinds", message));
    }
    Ok(())
}

// === impl ListenerFault ===

impl ListenerFault {
    /// The reason and a sentence.
    fn explain(self, listener: &GatewayListener<'_>) -> (&'static str, String) {
        let port = listener.listener.port;
        match self {
            Self::PortUnavailable => (
                "PortUnavailable",
                format!("the proxy itself listens on port {port}"),
            ),
            Self::UnsupportedProtocol => (
                "UnsupportedProtocol",
                format!(
                    "the protocol {} is not supported",
                    listener.listener.protocol
                ),
            ),
            Self::ProtocolConflict => (
                "ProtocolConflict",
                format!("another listener of port {port} has a protocol that cannot share it"),
            ),
            Self::HostnameConflict => (
                "HostnameConflict",
                format!("another listener of port {port} has the same host"),
            ),
        }
    }
}
