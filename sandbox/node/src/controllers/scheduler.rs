//! The scheduler: every pod goes to the only node there is.

use kube::ResourceExt;

use super::action::Action;
use super::observed::Observed;

/// The name of the sandbox's node.
pub const NODE_NAME: &str = "sandbox";

/// Binds the pods that have no node and wait for nothing.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    let unbound = observed.pods.iter().filter(|pod| {
        let spec = pod.spec.as_ref();
        let bound = spec.is_some_and(|spec| spec.node_name.is_some());
        let gated = spec
            .and_then(|spec| spec.scheduling_gates.as_deref())
            .is_some_and(|gates| !gates.is_empty());
        !bound && !gated && pod.metadata.deletion_timestamp.is_none()
    });
    unbound
        .map(|pod| Action::Bind {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            node: NODE_NAME,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn binds_what_is_unbound_and_ungated() {
        let pod = |name: &str, spec: serde_json::Value| {
            let value = json!({"metadata": {"name": name, "namespace": "n"}, "spec": spec});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let pods = vec![
            pod("free", json!({"containers": []})),
            pod("bound", json!({"containers": [], "nodeName": "sandbox"})),
            pod(
                "gated",
                json!({"containers": [], "schedulingGates": [{"name": "g"}]}),
            ),
        ];
        let actions = reconcile(&Observed {
            pods,
            ..Observed::default()
        });
        assert_eq!(
            actions,
            [Action::Bind {
                namespace: "n".into(),
                name: "free".into(),
                node: NODE_NAME
            }]
        );
    }
}
