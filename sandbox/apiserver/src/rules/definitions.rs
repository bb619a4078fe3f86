//! CustomResourceDefinitions.

use mesh_schema::Schema;
use serde_json::{Value, json};

use super::{list, required, text};
use crate::status::Cause;

pub fn check(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    required(&spec["group"], "spec.group", &mut causes);
    required(&spec["names"]["plural"], "spec.names.plural", &mut causes);
    required(&spec["names"]["kind"], "spec.names.kind", &mut causes);
    let expected = format!(
        "{}.{}",
        text(&spec["names"]["plural"]),
        text(&spec["group"])
    );
    let name = text(&object["metadata"]["name"]);
    if name != expected {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
    let scopes = ["Cluster", "Namespaced"];
    if !scopes.contains(&text(&spec["scope"])) {
        let scopes = scopes.map(str::to_owned);
        causes.push(Cause::unsupported("spec.scope", &spec["scope"], &scopes));
    }
    let versions = list(&spec["versions"]);
    let stored = versions.iter().filter(|version| version["storage"] == true);
    if stored.count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!(versions.len()), why));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        required(&version["name"], format!("{path}.name"), &mut causes);
        let schema = &version["schema"]["openAPIV3Schema"];
        let path = format!("{path}.schema.openAPIV3Schema");
        if !schema.is_object() {
            causes.push(Cause::required(path, "schemas are required"));
        } else if let Err(found) = Schema::compile(schema) {
            let within = |cause: mesh_schema::Cause| {
                let mut cause = Cause::from(cause);
                cause.field = format!("{path}.{}", cause.field);
                cause
            };
            causes.extend(found.into_iter().map(within));
        }
    }
    if spec["conversion"]["strategy"] == "Webhook" {
        let why = "this server converts custom resources only by their version's name: use None";
        causes.push(Cause::invalid(
            "spec.conversion.strategy",
            &json!("Webhook"),
            why,
        ));
    }
    causes
}
