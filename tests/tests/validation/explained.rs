//! Where we judge otherwise on purpose, and why.

use super::Difference;

/// Which way we differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We refuse what Istio or the CRDs accept.
    Stricter,
    /// We accept what Istio or the CRDs refuse.
    Laxer,
}

/// Differences of one sort.
pub struct Row {
    pub side: Side,
    /// The kind; empty for all.
    pub kind: &'static str,
    /// Part of what was changed, as its name tells; empty for whatever it was.
    pub changed: &'static str,
    /// Part of what the side that refuses says; our own words where we do.
    pub says: &'static str,
    /// Why it is right so.
    pub why: &'static str,
}

const fn stricter(kind: &'static str, says: &'static str, why: &'static str) -> Row {
    Row {
        side: Side::Stricter,
        kind,
        changed: "",
        says,
        why,
    }
}

const fn laxer(
    kind: &'static str,
    changed: &'static str,
    says: &'static str,
    why: &'static str,
) -> Row {
    Row {
        side: Side::Laxer,
        kind,
        changed,
        says,
        why,
    }
}

/// All of them.
#[rustfmt::skip]
pub const EXPLAINED: &[Row] = &[
    // What Envoy or Kubernetes would refuse later, out of the author's sight.
    stricter("HTTPRoute", "is not a regular expression", "Envoy refuses the route"),
    stricter("GRPCRoute", "is not a regular expression", "Envoy refuses the route"),
    stricter("HTTPRoute", "the name of a header", "Envoy refuses the route"),
    stricter("GRPCRoute", "the name of a header", "Envoy refuses the route"),
    stricter("VirtualService", "is not the name of a header", "Envoy refuses the route"),
    stricter("RequestAuthentication", "is not the name of a header", "Envoy refuses the filter"),
    stricter("VirtualService", "the name of a query parameter is missing", "Envoy refuses the route"),
    stricter("Gateway", "it is older than minProtocolVersion", "Envoy refuses the listener"),
    stricter("VirtualService", "is not a redirect code", "Envoy knows five; others would silently become 301"),
    stricter("VirtualService", "is not a host: it has", "the Location that clients get would be no address"),
    stricter("Gateway", "matchExpressions", "Kubernetes refuses such a selector when namespaces are looked up by it"),
    stricter("WorkloadGroup", "is not a label", "entries that are made of the template would be refused"),
    stricter("EnvoyFilter", "spec.targetRefs[", "the patch would be attached to nothing"),
    stricter("EnvoyFilter", " has no field ", "Istio only warns of fields that are none of Envoy's, and leaves them out"),
    stricter("EnvoyFilter", " in a TypedStruct of ", "Istio does not read what is inside of a TypedStruct; Envoy refuses what is not of its type"),
    stricter("EnvoyFilter", "type_url is missing", "Envoy could not tell what the configuration is"),
    stricter("EnvoyFilter", "only one of them can be", "Istio takes one of them and leaves the others out"),
    stricter("", "is not a namespace", "namespaces are in lower case, so that such a name is nobody's"),
    // What would have another effect than it says.
    stricter("AuthorizationPolicy", "should have at least 1 items", "an empty list would match everybody"),
    stricter("VirtualService", "the delegate's name is missing", "the rule would route nothing"),
    stricter("DestinationRule", " overlaps ", "Istio finds an overlap in one of the two orders only"),
    stricter("VirtualService", "the host is set more than once", "which of two values counts, one of them empty, would be left to the order"),
    stricter("VirtualService", "port 0 is not in the range", "Istio counts 0 as absent, so that the condition is gone"),
    stricter("DestinationRule", "is not in the range 1 to 65535", "no service has such a port"),
    stricter("VirtualService", "fault.delay.percent: ", "Istio does not look at the deprecated share, however large"),
    stricter("Gateway", "the Secret holds the revoked certificates", "revoked certificates would be accepted"),
    stricter("VirtualService", "is not the name of a gateway", "Istio looks at none of the names that follow a plain one"),
    stricter("Gateway", "the tls mode of the protocol HTTPS is Terminate", "names of protocols count in any case"),
    // Objects are stored in the current version, so that those of older versions must do as such.
    stricter("TLSRoute", "spec.hostnames", "v1alpha2 could leave hostnames out, v1 cannot"),
    stricter("TCPRoute", "spec.rules: Too many", "v1alpha2 could have several rules, v1 cannot"),
    // What means something.
    laxer("VirtualService", "", "invalid value for namespace: \".\"", "./NAME is a gateway of the own namespace, as Istio resolves it"),
    laxer("WorkloadGroup", "", "ReadinessProbe_Grpc", "Istio's validation has forgotten the probes by gRPC that its API has"),
    laxer("EnvoyFilter", ".stats_config", "Envoy filter: json: cannot unmarshal", "the bootstrap of proxies is not patched, which is said"),
    laxer("", "", "must be of type object: \"null\"", "null is how templates leave a field out"),
];

/// The row that explains a difference.
pub fn find(difference: &Difference) -> Option<usize> {
    let kind = difference.document.object["kind"].as_str();
    EXPLAINED.iter().position(|row| {
        row.side == difference.side
            && (row.kind.is_empty() || Some(row.kind) == kind)
            && difference.document.name.contains(row.changed)
            && difference.reason.contains(row.says)
    })
}
