//! Service accounts: every namespace has one called `default`, which pods that name none run under.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::action::Action;
use super::observed::Observed;

const NAME: &str = "default";

/// Namespaces without their account.
pub fn reconcile(observed: &Observed) -> Vec<Action> {
    let lacking = observed.namespaces.iter().filter(|namespace| {
        is_active(namespace)
            && !observed.service_accounts.iter().any(|account| {
                account.name_any() == NAME
                    && account.namespace().as_deref() == namespace.metadata.name.as_deref()
            })
    });
    lacking
        .map(|namespace| Action::Create(account(namespace.name_any()).into()))
        .collect()
}

fn is_active(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_none()
}

fn account(namespace: String) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn namespaces_that_stay_get_their_account_once() {
        let namespace = |metadata: serde_json::Value| {
            Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
        };
        let observed = Observed {
            namespaces: vec![
                namespace(json!({"name": "new"})),
                namespace(json!({"name": "old"})),
                namespace(json!({"name": "ending", "deletionTimestamp": "2026-01-01T00:00:00Z"})),
            ],
            service_accounts: vec![Arc::new(account("old".into()))],
            ..Observed::default()
        };
        assert_eq!(
            reconcile(&observed),
            [Action::Create(account("new".into()).into())]
        );
    }
}
