//! `/validate`: the findings of the kind's one compiler, in the words of `meshctl analyze`.

use mesh_core::diag::Diagnostic;
use mesh_core::resource::{Admission, admit};

use super::review::{Answer, Request};

/// Answers a request. Objects of kinds that the mesh does not know are allowed.
pub fn answer(request: &Request) -> Answer {
    if request.object.is_null() {
        return Answer::allowed();
    }
    let Admission { errors, warnings } = admit(&request.object);
    let refused = (!errors.is_empty()).then(|| {
        let lines: Vec<String> = errors.iter().map(sentence).collect();
        (422, lines.join("\n"))
    });
    Answer {
        refused,
        warnings: warnings.iter().map(sentence).collect(),
        patch: None,
    }
}

/// `message [IST0106]; hint`.
fn sentence(finding: &Diagnostic) -> String {
    let Diagnostic {
        code,
        message,
        hint,
        ..
    } = finding;
    match hint {
        Some(hint) => format!("{message} [{code}]; {hint}"),
        None => format!("{message} [{code}]"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn virtual_service(spec: Value) -> Request {
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "reviews", "namespace": "default"}, "spec": spec});
        Request {
            uid: "1".to_owned(),
            namespace: "default".to_owned(),
            operation: "CREATE".to_owned(),
            object,
        }
    }

    #[test]
    fn all_findings_of_an_object_are_told_at_once() {
        let route = json!([{"destination": {"host": "reviews"}, "weight": -4}]);
        let spec = json!({"hosts": ["reviews"], "http": [{"route": route}, {"route": route}]});
        let (code, message) = answer(&virtual_service(spec)).refused.unwrap();
        assert_eq!(code, 422);
        assert_eq!(message.lines().count(), 2, "{message}");
        assert!(
            message.contains("spec.http[0]") && message.contains("spec.http[1]"),
            "{message}"
        );
    }

    #[test]
    fn good_objects_deletions_and_strangers_are_allowed() {
        let spec = json!({"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]});
        assert_eq!(answer(&virtual_service(spec)), Answer::allowed());
        let mut request = virtual_service(Value::Null);
        request.object = Value::Null;
        assert_eq!(answer(&request), Answer::allowed());
        request.object =
            json!({"apiVersion": "example.com/v1", "kind": "Teapot", "metadata": {"name": "t"}});
        assert_eq!(answer(&request), Answer::allowed());
    }
}
