//! Who may be given Secrets of a namespace: proxies whose service account may list them there, as Istio asks, and the pods that are made for a
//! Gateway of the Gateway API, for what it names. A pod that only says that it is a gateway gets no keys by that.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use mesh_core::gateways::is_account_of_gateway;
use tokio::sync::watch;

use super::Identity;
use super::remembered::Remembered;
use crate::publish::Published;

/// Limit for an answer of the API server.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Which of the Secrets of its namespace a proxy may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretScope {
    /// None.
    None,
    /// Those that Gateways of the Gateway API name for its pod.
    OfGateway,
    /// All.
    All,
}

/// Asks the API server, and remembers its answers for a minute.
pub struct SecretAccess {
    /// Nobody to ask without a cluster: there, only loopback is served.
    client: Option<Client>,
    answers: Remembered<Identity, bool>,
    published: watch::Receiver<Arc<Published>>,
}

// === impl SecretAccess ===

impl SecretAccess {
    /// Asks a cluster, or lets everybody have everything without one.
    pub fn new(client: Option<Client>, published: watch::Receiver<Arc<Published>>) -> Self {
        Self {
            client,
            answers: Remembered::default(),
            published,
        }
    }

    /// Which Secrets of its namespace proxies of a service account may be given.
    pub async fn scope(&self, identity: Option<&Identity>) -> SecretScope {
        let is_of_gateway = identity.is_some_and(|identity| {
            let latest = self.published.borrow().clone();
            let snapshot = latest.translator.snapshot();
            is_account_of_gateway(snapshot, &identity.namespace, &identity.service_account)
        });
        match (self.may_read(identity, is_of_gateway).await, is_of_gateway) {
            (true, _) => SecretScope::All,
            (false, true) => SecretScope::OfGateway,
            (false, false) => SecretScope::None,
        }
    }

    /// Whether proxies of a service account may be given the Secrets of its namespace. When the API server cannot be asked, they may not.
    async fn may_read(&self, identity: Option<&Identity>, is_of_gateway: bool) -> bool {
        let (client, identity) = match (&self.client, identity) {
            (Some(client), Some(identity)) => (client, identity),
            // Who has no identity in a cluster is nobody; without a cluster nobody has one.
            (client, _) => return client.is_none(),
        };
        if let Some(answer) = self.answers.get(identity) {
            return answer;
        }
        let (namespace, account) = (&identity.namespace, &identity.service_account);
        match ask(client, identity).await {
            Ok(allowed) => {
                if !allowed && !is_of_gateway {
                    tracing::warn!(
                        namespace,
                        account,
                        "a gateway gets no certificates: its service account may not list Secrets in its namespace; a Role with get, list and watch on secrets allows it"
                    );
                }
                self.answers.insert(identity.clone(), allowed);
                allowed
            }
            Err(error) => {
                tracing::warn!(
                    namespace,
                    account,
                    error,
                    "failed to ask whether a gateway may have the Secrets of its namespace; it gets none for now"
                );
                false
            }
        }
    }
}

async fn ask(client: &Client, identity: &Identity) -> Result<bool, String> {
    let (namespace, account) = (&identity.namespace, &identity.service_account);
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{account}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.clone()),
                verb: Some("list".to_owned()),
                resource: Some("secrets".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = tokio::time::timeout(TIMEOUT, api.create(&PostParams::default(), &review))
        .await
        .map_err(|_| format!("no answer within {} s", TIMEOUT.as_secs()))?
        .map_err(|error| error.to_string())?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
