//! Writing objects into a cluster: server-side apply under the field manager `meshctl`, waiting until what was written is there and
//! runs, and taking out what is no longer wanted.
//!
//! ```text
//! plan --write--> Outcome of each object --wait--> CRDs established, Deployments ready (or why not) --owned/delete--> pruned
//! ```
//!
//! `install`, `uninstall` and `sandbox up` share it. Nothing here asks or decides; what happens is told to a reporter.

mod delete;
mod error;
mod owned;
mod wait;
mod write;

pub use delete::{delete, wait_gone};
pub use error::explain;
pub use owned::{Found, leftovers, owned, strangers};
pub use wait::{established, rolled_out, webhooks_served};
pub use write::{Outcome, Writer};

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use mesh_core::install::ResourceType;

/// The API of a kind, in a namespace or for the cluster.
pub fn api(client: &Client, resource: &ResourceType, namespace: &str) -> Api<DynamicObject> {
    let known = api_resource(resource);
    match resource.namespaced {
        true => Api::namespaced_with(client.clone(), namespace, &known),
        false => Api::all_with(client.clone(), &known),
    }
}

/// The API of a kind over all namespaces.
pub fn api_everywhere(client: &Client, resource: &ResourceType) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &api_resource(resource))
}

fn api_resource(resource: &ResourceType) -> ApiResource {
    ApiResource {
        group: resource.group.to_owned(),
        version: resource.version.to_owned(),
        api_version: resource.api_version(),
        kind: resource.kind.to_owned(),
        plural: resource.plural.to_owned(),
    }
}
