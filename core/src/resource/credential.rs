//! Of a Secret nothing is kept but what TLS needs.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_ir::SecretText;
use serde_json::Value;

use super::Object;
use super::compile::Compiled;
use crate::diag::{FieldPath, Level, SCHEMA};
use crate::model::Credential;
use crate::validate::Violation;

/// The texts of a Secret by their keys.
struct Texts<'a> {
    value: &'a Value,
    violations: Vec<Violation>,
}

/// Compiles a Secret.
pub(super) fn compile(value: &Value) -> Compiled {
    let mut texts = Texts {
        value,
        violations: Vec::new(),
    };
    let generic = (texts.get("cert"), texts.get("key"));
    let typed = (texts.get("tls.crt"), texts.get("tls.key"));
    let (chain, key) = match generic {
        (Some(chain), Some(key)) => (Some(chain), Some(key)),
        _ => typed,
    };
    let roots = texts.get("cacert");
    let roots = roots.or_else(|| texts.get("ca.crt"));
    let credential = Credential {
        chain: chain.map(Arc::from),
        key: key.map(|key| SecretText(key.into())),
        roots: roots.map(Arc::from),
    };
    Compiled {
        object: Some(Object::Secret(Arc::new(credential))),
        malformed: !texts.violations.is_empty(),
        violations: texts.violations,
    }
}

// === impl Texts ===

impl Texts<'_> {
    /// The text of a key, if it has one: of `stringData` (in files), else of `data`.
    fn get(&mut self, key: &str) -> Option<String> {
        let of = |field: &str| self.value.get(field).and_then(|data| data.get(key));
        if let Some(text) = of("stringData").and_then(Value::as_str) {
            return Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        let encoded = match of("data")? {
            Value::Null => return None,
            value => value.as_str(),
        };
        let decoded = encoded.and_then(|text| {
            // Files wrap long lines.
            let text: String = text.split_ascii_whitespace().collect();
            String::from_utf8(STANDARD.decode(text).ok()?).ok()
        });
        if decoded.is_none() {
            self.violations.push(Violation {
                code: SCHEMA,
                level: Level::Error,
                path: FieldPath::parse("data").key(key),
                message: "must be text in base64".to_owned(),
                hint: None,
            });
        }
        decoded.filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn credential(value: &Value) -> (Arc<Credential>, Vec<String>) {
        let compiled = compile(value);
        let found = compiled.violations.iter();
        let found = found.map(|violation| violation.path.to_string()).collect();
        match compiled.object {
            Some(Object::Secret(credential)) => (credential, found),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_kinds_of_names_are_read() {
        let typed =
            json!({"data": {"tls.crt": "Yw==", "tls.key": "aw==", "ca.crt": "cg==", "x": 1}});
        let (found, wrong) = credential(&typed);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(found.chain.as_deref(), Some("c"));
        assert_eq!(found.key, Some(SecretText("k".into())));
        assert_eq!(found.roots.as_deref(), Some("r"));

        let both = json!({
            "data": {"tls.crt": "Yw==", "tls.key": "aw==", "cert": "Mg=="},
            "stringData": {"key": "3", "cacert": "4"},
        });
        let (found, _) = credential(&both);
        assert_eq!(found.chain.as_deref(), Some("2"));
        assert_eq!(found.key, Some(SecretText("3".into())));
        assert_eq!(found.roots.as_deref(), Some("4"));
    }

    #[test]
    fn what_is_no_text_is_told_by_its_key() {
        let (found, wrong) = credential(&json!({"data": {"tls.crt": "%", "tls.key": 1}}));
        assert_eq!((found.chain.as_ref(), found.key.as_ref()), (None, None));
        assert_eq!(wrong, ["data[\"tls.crt\"]", "data[\"tls.key\"]"]);
    }
}
