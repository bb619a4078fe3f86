//! Where the rules that decide are written.

use mesh_core::resource::{Kind, ResourceKey};
use mesh_ir::ConfigRef;
use mesh_ir::evaluate::Origin;

use crate::gather::World;

/// File and line of a rule, or else its object.
pub fn of_rule(origin: &Origin, world: &World) -> Option<String> {
    let resource = world.snapshot.get(&key(&origin.object)?)?;
    Some(world.place(resource, &origin.field))
}

/// The object and field that people look for: `VirtualService default/reviews spec.http[0]`.
pub fn name(origin: &Origin) -> String {
    let object = &origin.object;
    let kind = kind(object).map_or_else(|| object.kind.to_string(), |kind| kind.name().to_owned());
    let name = format!("{kind} {}/{}", object.namespace, object.name);
    match origin.field.as_str() {
        "" => name,
        field => format!("{name} {field}"),
    }
}

fn key(object: &ConfigRef) -> Option<ResourceKey> {
    Some(ResourceKey {
        kind: kind(object)?,
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    })
}

/// The kind that Istio's metadata writes in kebab case.
fn kind(object: &ConfigRef) -> Option<Kind> {
    let plain = object.kind.replace('-', "");
    Kind::all().find(|kind| kind.name().eq_ignore_ascii_case(&plain))
}
