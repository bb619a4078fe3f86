//! ClusterRoles that are made of others: their rules are those of all ClusterRoles with the labels that they select.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rbac::table;
use crate::store::{Key, State};

/// Aggregated roles may be parts of others: `view` of `edit`, and `edit` of `admin`.
const DEEPEST: usize = 8;

/// Brings the rules of all aggregated roles up to date.
pub fn aggregate(state: &mut State) {
    let table = table("clusterroles");
    for _ in 0..DEEPEST {
        let roles: Vec<(Key, Arc<Value>)> = state
            .list(&table, None, None)
            .map(|(key, role)| (key.clone(), role.clone()))
            .collect();
        let outdated: Vec<(Key, Value)> = roles
            .iter()
            .filter_map(|(key, role)| Some((key.clone(), renewed(role, &roles)?)))
            .collect();
        if outdated.is_empty() {
            return;
        }
        for (key, role) in outdated {
            state.put(&table, key, role);
        }
    }
}

/// An aggregated role with its present rules, if they differ from those that it has.
fn renewed(role: &Value, roles: &[(Key, Arc<Value>)]) -> Option<Value> {
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    let selectors: Vec<Selector> = selectors
        .iter()
        .filter_map(|selector| LabelSelector::deserialize(selector).ok()?.try_into().ok())
        .collect();
    let mut rules: Vec<&Value> = Vec::new();
    for (_, part) in roles {
        let labels = part["metadata"]["labels"].as_object().into_iter().flatten();
        let labels: BTreeMap<String, String> = labels
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let is_part = part["metadata"]["name"] != role["metadata"]["name"];
        if is_part && selectors.iter().any(|selector| selector.matches(&labels)) {
            for rule in part["rules"].as_array().into_iter().flatten() {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    let rules = json!(rules);
    let differs = role["rules"] != rules && !(role["rules"].is_null() && rules == json!([]));
    differs.then(|| {
        let mut renewed = role.clone();
        renewed["rules"] = rules;
        renewed
    })
}
