//! Who may be given the Secrets of a namespace: proxies whose service account may list them there, as Istio asks. A pod that only says that it
//! is a gateway gets no keys by that.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

use super::Identity;
use super::remembered::Remembered;

/// Limit for an answer of the API server.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the API server, and remembers its answers for a minute.
pub struct SecretAccess {
    /// Nobody to ask without a cluster: there, only loopback is served.
    client: Option<Client>,
    answers: Remembered<Identity, bool>,
}

// === impl SecretAccess ===

impl SecretAccess {
    /// Asks a cluster, or lets everybody have everything without one.
    pub fn new(client: Option<Client>) -> Self {
        Self {
            client,
            answers: Remembered::default(),
        }
    }

    /// Whether proxies of a service account may be given the Secrets of its namespace. When the API server cannot be asked, they may not.
    pub async fn may_read(&self, identity: Option<&Identity>) -> bool {
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
                if !allowed {
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
