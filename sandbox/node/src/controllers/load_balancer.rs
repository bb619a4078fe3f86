//! Services of type `LoadBalancer`: their way in is the cluster IP itself, which this machine reaches like any address.

use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service};

use super::action::Action;
use super::observed::Observed;

/// Services whose status does not tell the way in, or tells one although they have another type.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    let wrong = observed
        .services
        .iter()
        .filter(|service| service.metadata.deletion_timestamp.is_none())
        .filter_map(|service| {
            let wanted = wanted(service)?;
            (present(service) != wanted.as_slice()).then_some((service, wanted))
        });
    wrong
        .map(|(service, wanted)| {
            let mut service = Service::clone(service);
            let mut status = service.status.take().unwrap_or_default();
            status.load_balancer = Some(LoadBalancerStatus {
                ingress: Some(wanted).filter(|wanted| !wanted.is_empty()),
            });
            service.status = Some(status);
            Action::ReplaceStatus(service.into())
        })
        .collect()
}

/// What the status should tell; `None` while it cannot be known.
fn wanted(service: &Service) -> Option<Vec<LoadBalancerIngress>> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() != Some("LoadBalancer") {
        return Some(Vec::new());
    }
    let address = spec.cluster_ip.clone().filter(|ip| ip != "None")?;
    Some(vec![LoadBalancerIngress {
        ip: Some(address),
        ip_mode: Some("VIP".to_owned()),
        ..LoadBalancerIngress::default()
    }])
}

fn present(service: &Service) -> &[LoadBalancerIngress] {
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    balancer
        .and_then(|balancer| balancer.ingress.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn service(kind: &str, status: serde_json::Value) -> Arc<Service> {
        let value = json!({"metadata": {"name": "s", "namespace": "n"},
            "spec": {"type": kind, "clusterIP": "127.1.128.1"}, "status": status});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn ways(service: Arc<Service>) -> Option<usize> {
        let actions = reconcile(&Observed {
            services: vec![service],
            ..Observed::default()
        });
        match actions.as_slice() {
            [] => None,
            [Action::ReplaceStatus(super::super::Object::Service(service))] => {
                Some(present(service).len())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_status_tells_the_way_in_for_load_balancers_only() {
        let told = json!({"loadBalancer": {"ingress": [{"ip": "127.1.128.1", "ipMode": "VIP"}]}});
        assert_eq!(ways(service("LoadBalancer", json!({}))), Some(1));
        assert_eq!(ways(service("LoadBalancer", told.clone())), None);
        assert_eq!(ways(service("ClusterIP", told)), Some(0));
        assert_eq!(ways(service("ClusterIP", json!({}))), None);
    }
}
