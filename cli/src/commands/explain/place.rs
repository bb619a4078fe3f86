//! The rules that decide, by name.

use mesh_ir::evaluate::Origin;

use crate::gather::kind_of;

/// The object and field that people look for: `VirtualService default/reviews spec.http[0]`.
pub fn name(origin: &Origin) -> String {
    let object = &origin.object;
    let kind =
        kind_of(object).map_or_else(|| object.kind.to_string(), |kind| kind.name().to_owned());
    let name = format!("{kind} {}/{}", object.namespace, object.name);
    match origin.field.as_str() {
        "" => name,
        field => format!("{name} {field}"),
    }
}
