//! Objects of a cluster by kind, in the newest API version that its API server offers.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, TypeMeta};
use mesh_core::resource::{Kind, Watch};

use crate::context::Cluster;

/// Objects that one answer of the API server holds at most.
const PAGE: u32 = 500;

/// All objects of a kind; 404 if the API server does not know the kind.
pub async fn list(cluster: &Cluster, kind: Kind) -> Result<Vec<DynamicObject>, kube::Error> {
    let newest = list_version(cluster, kind, kind.api_version()).await;
    let row = kind.row();
    // Kubernetes' own kinds are in the current version everywhere.
    if row.watch != Watch::WhenInstalled || !newest.as_ref().is_err_and(is_unknown) {
        return newest;
    }
    for api_version in row.api_versions.iter().skip(1) {
        let older = list_version(cluster, kind, api_version).await;
        if !older.as_ref().is_err_and(is_unknown) {
            return older;
        }
    }
    newest
}

/// One object in the current version of its kind.
pub async fn get(
    cluster: &Cluster,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<Option<DynamicObject>, kube::Error> {
    let resource = resource_of(kind.api_version(), kind);
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), namespace, &resource);
    let found = api.get_opt(name).await?;
    Ok(found.map(|object| typed(object, kind, kind.api_version())))
}

/// Where the objects of a kind are, in an API version.
pub fn resource_of(api_version: &str, kind: Kind) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvk = GroupVersionKind::gvk(group, version, kind.name());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

async fn list_version(
    cluster: &Cluster,
    kind: Kind,
    api_version: &str,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let resource = resource_of(api_version, kind);
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource);
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await?;
        let objects = page.items.into_iter();
        found.extend(objects.map(|object| typed(object, kind, api_version)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// The items of a list do not say what they are.
fn typed(mut object: DynamicObject, kind: Kind, api_version: &str) -> DynamicObject {
    object.types = Some(TypeMeta {
        api_version: api_version.to_owned(),
        kind: kind.name().to_owned(),
    });
    object
}

fn is_unknown(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
