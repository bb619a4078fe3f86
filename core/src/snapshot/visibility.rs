//! Who sees an object: `exportTo` with its defaults.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Visibility;

/// The visibility that `exportTo` asks for: `*` wins over all else, `.` is the object's own namespace, `~` nobody; empty lists
/// take the mesh's default, which is `*` when empty itself.
pub fn visibility<'a>(
    export_to: impl IntoIterator<Item = &'a str>,
    default: &'a [String],
    namespace: &Arc<str>,
) -> Visibility {
    let named: Vec<&str> = export_to
        .into_iter()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let names = if named.is_empty() {
        default.iter().map(String::as_str).collect()
    } else {
        named
    };
    if names.is_empty() || names.contains(&"*") {
        return Visibility::Public;
    }
    let namespaces = names
        .into_iter()
        .filter(|name| *name != "~")
        .map(|name| match name {
            "." => namespace.clone(),
            name => name.into(),
        })
        .collect::<BTreeSet<Arc<str>>>();
    Visibility::Namespaces(namespaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_to_is_read_as_istio_reads_it() {
        let own: Arc<str> = "own".into();
        let default = [".".to_owned()];
        for (export_to, sees_own, sees_other) in [
            (vec![], true, false),
            (vec!["*"], true, true),
            (vec!["~", "*"], true, true),
            (vec!["~"], false, false),
            (vec!["other"], false, true),
            (vec![".", "other"], true, true),
        ] {
            let found = visibility(export_to.iter().copied(), &default, &own);
            assert_eq!(found.sees("own"), sees_own, "{export_to:?}");
            assert_eq!(found.sees("other"), sees_other, "{export_to:?}");
        }
        assert!(visibility([], &[], &own).sees("other"));
    }
}
