//! Namespaces by their labels.

use super::Deriver;
use crate::model::gateway_api::LabelSelector;
use crate::resource::{Kind, Resource};

/// The namespaces that a selector has; none without one.
pub(super) fn namespaces(deriver: &Deriver<'_>, selector: Option<&LabelSelector>) -> Vec<String> {
    let all = deriver.objects.of(Kind::Namespace).iter();
    all.filter(|namespace| selector.is_some_and(|selector| selects(selector, namespace)))
        .map(|namespace| namespace.key.name.to_string())
        .collect()
}

/// Whether a selector has a namespace.
fn selects(selector: &LabelSelector, namespace: &Resource) -> bool {
    let labels = &namespace.meta.labels;
    let of_name = ("kubernetes.io/metadata.name", &*namespace.key.name);
    let value = |key: &str| {
        let known = labels.get(key).map(String::as_str);
        known.or_else(|| (key == of_name.0).then_some(of_name.1))
    };
    let mut equal = selector.match_labels.iter();
    let mut expressions = selector.match_expressions.iter();
    equal.all(|(key, wanted)| value(key) == Some(wanted))
        && expressions.all(|one| {
            let found = value(&one.key);
            let listed = found.is_some_and(|found| one.values.iter().any(|value| value == found));
            match &*one.operator {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}
