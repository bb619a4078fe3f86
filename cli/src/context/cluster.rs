//! A cluster that answered, and what its errors mean to a person.

use anyhow::anyhow;
use kube::Client;

use crate::failure;

/// A cluster that answered.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// What to call it: `sandbox "default"`, `context "kind" of ~/.kube/config`.
    pub name: String,
    /// The namespace to work in: by `--namespace`, else the context's.
    pub namespace: String,
    /// Address of the API server.
    pub server: String,
}

// === impl Cluster ===

impl Cluster {
    /// An error of a request, in words: what the API server says, or that it cannot be reached, and what to do.
    pub fn explain(&self, error: kube::Error) -> anyhow::Error {
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                let error = anyhow!(
                    "{} does not accept the credentials: {}",
                    self.name,
                    status.message
                );
                failure::advise(
                    error,
                    "the token or certificate may have expired: renew the kubeconfig",
                )
            }
            kube::Error::Api(status) => anyhow!("{}", status.message),
            error @ (kube::Error::Service(_) | kube::Error::HyperError(_)) => {
                self.unreachable(error.into())
            }
            error => {
                anyhow::Error::from(error).context(format!("a request to {} failed", self.name))
            }
        }
    }

    pub(super) fn unreachable(&self, cause: anyhow::Error) -> anyhow::Error {
        // The innermost cause is what a person can act on: "Connection refused".
        let cause = cause.root_cause().to_string();
        let error = anyhow!(
            "failed to reach the API server {} of {}: {cause}",
            self.server,
            self.name
        );
        failure::advise(
            error,
            "is it running? A running sandbox is used when neither --kubeconfig nor KUBECONFIG is given",
        )
    }
}
