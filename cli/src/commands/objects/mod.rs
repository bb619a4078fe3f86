//! `meshctl get|create|replace|delete`: the mesh's own objects in the cluster, by the commands of the first tutorials. Kubernetes' own kinds are
//! `kubectl`'s business.
//!
//! ```text
//! files --target: read, checked--> Target { kind, namespace, name, value } --create|replace|delete--> API server
//! KIND [NAME] --get|delete-------------------------------------------------------------------^
//! ```
//!
//! Nothing is written before all of the input has been found to be right.

pub mod create;
pub mod delete;
pub mod get;
pub mod replace;
mod target;

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use mesh_core::resource::Kind;

use crate::context::Cluster;
use crate::failure::{self, Advice as _};
use crate::objects::resource_of;

/// Old commands wrote words of kinds apart: `route-rule`.
fn kind(text: &str) -> anyhow::Result<Kind> {
    let found = Kind::named(text).or_else(|| Kind::named(&text.replace('-', "")));
    let found = found.filter(|kind| kind.row().definition.is_some());
    let unknown = || failure::usage(format!("{text:?} is no kind of the mesh's objects"));
    found.ok_or_else(unknown).hint(
        "name one such as virtualservices, destinationrules, gateways or routerules; for kinds of Kubernetes use kubectl",
    )
}

/// The objects of a kind in a namespace, or of the cluster for kinds that are not in namespaces.
fn api(cluster: &Cluster, kind: Kind, api_version: &str, namespace: &str) -> Api<DynamicObject> {
    let resource = resource_of(api_version, kind);
    match kind.is_namespaced() {
        true => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        false => Api::all_with(cluster.client.clone(), &resource),
    }
}

/// `RouteRule default/reviews-default`.
fn named(kind: Kind, namespace: &str, name: &str) -> String {
    match kind.is_namespaced() {
        true => format!("{} {namespace}/{name}", kind.name()),
        false => format!("{} {name}", kind.name()),
    }
}

/// Why a request about an object failed: where the answer is 404 for want of its kind, that is said.
async fn explain(cluster: &Cluster, kind: Kind, tried: &str, error: kube::Error) -> anyhow::Error {
    if matches!(&error, kube::Error::Api(status) if status.code == 404)
        && !is_served(cluster, kind).await
    {
        return not_served(kind);
    }
    cluster.explain(error).context(tried.to_owned())
}

async fn is_served(cluster: &Cluster, kind: Kind) -> bool {
    let resource = resource_of(kind.api_version(), kind);
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource);
    let listed = api.list_metadata(&ListParams::default().limit(1)).await;
    !matches!(listed, Err(kube::Error::Api(status)) if status.code == 404)
}

fn not_served(kind: Kind) -> anyhow::Error {
    let row = kind.row();
    let error = anyhow::anyhow!(
        "the cluster does not know the kind {} of {}",
        row.name,
        row.api_version()
    );
    failure::advise(
        error,
        match row.is_legacy() {
            true => {
                "`meshctl install --set values.legacy.enabled=true` makes it known; `meshctl convert -f FILE` writes such objects as today's"
            }
            false => "`meshctl install` makes it known",
        },
    )
}
