//! What a query asks of the dump, as in Envoy: `resource` names one list of it, whose items are then the dump, `mask` the fields
//! that are kept, of each section or of each item, and `name_regex` the items, by their whole names. `istioctl proxy-config` asks by masks.

use http::StatusCode;
use regex::Regex;
use serde_json::{Map, Value};

use crate::admin::page::Query;

/// Prefix of the types of sections and their items.
const ADMIN: &str = "type.googleapis.com/envoy.admin.v3.";

/// Where the items of lists have their names.
const NAMES: [&[&str]; 4] = [
    &["name"],
    &["cluster", "name"],
    &["route_config", "name"],
    &["endpoint_config", "cluster_name"],
];

/// The lists of sections: section, list, message of an item.
const LISTS: [(&str, &str, &str); 10] = [
    ("ClustersConfigDump", "static_clusters", "StaticCluster"),
    (
        "ClustersConfigDump",
        "dynamic_active_clusters",
        "DynamicCluster",
    ),
    (
        "ClustersConfigDump",
        "dynamic_warming_clusters",
        "DynamicCluster",
    ),
    (
        "EndpointsConfigDump",
        "dynamic_endpoint_configs",
        "DynamicEndpointConfig",
    ),
    ("ListenersConfigDump", "static_listeners", "StaticListener"),
    (
        "ListenersConfigDump",
        "dynamic_listeners",
        "DynamicListener",
    ),
    (
        "RoutesConfigDump",
        "static_route_configs",
        "StaticRouteConfig",
    ),
    (
        "RoutesConfigDump",
        "dynamic_route_configs",
        "DynamicRouteConfig",
    ),
    (
        "SecretsConfigDump",
        "dynamic_active_secrets",
        "DynamicSecret",
    ),
    (
        "SecretsConfigDump",
        "dynamic_warming_secrets",
        "DynamicSecret",
    ),
];

/// A part of the dump.
pub(super) struct Selection<'a> {
    resource: Option<&'a str>,
    /// Paths of fields; none keeps all of them.
    mask: Option<Vec<Vec<&'a str>>>,
    names: Option<Regex>,
}

impl<'a> Selection<'a> {
    /// # Errors
    /// When names are to be matched by what is no expression.
    pub(super) fn of(query: &'a Query) -> Result<Self, String> {
        let paths = |mask: &'a str| {
            let paths = mask.split(',').filter(|path| !path.is_empty());
            paths.map(|path| path.split('.').collect()).collect()
        };
        let names = query.get("name_regex").map(|text| {
            let whole = Regex::new(&["^(?:", text, ")$"].concat());
            whole.map_err(|error| format!("name_regex is no regular expression: {error}"))
        });
        Ok(Self {
            resource: query.get("resource"),
            mask: query.get("mask").map(paths),
            names: names.transpose()?,
        })
    }

    /// Selects from the sections of a dump.
    ///
    /// # Errors
    /// When there is no such list: 404, or 400 where there is a field that is no list.
    pub(super) fn select(&self, sections: Vec<Value>) -> Result<Vec<Value>, (StatusCode, String)> {
        let sections = match &self.names {
            None => sections,
            Some(names) => sections
                .into_iter()
                .map(|section| named(section, names))
                .collect(),
        };
        let parts = match self.resource {
            None => sections,
            Some(name) => items(name, sections)?,
        };
        let Some(mask) = &self.mask else {
            return Ok(parts);
        };
        let paths: Vec<&[&str]> = mask.iter().map(Vec::as_slice).collect();
        Ok(parts.iter().map(|part| masked(part, &paths)).collect())
    }
}

/// The items of a list, each with its type.
fn items(name: &str, sections: Vec<Value>) -> Result<Vec<Value>, (StatusCode, String)> {
    let Some((section, _, item)) = LISTS.iter().find(|(_, list, _)| *list == name) else {
        return Err(no_list(name, &sections));
    };
    let url = [ADMIN, section].concat();
    let kind = [&url, ".", item].concat();
    let mut section = sections
        .into_iter()
        .find(|section| section["@type"] == url.as_str());
    // An empty list is left out.
    let list = section.as_mut().and_then(|section| section.get_mut(name));
    let Some(Value::Array(list)) = list.map(Value::take) else {
        return Ok(Vec::new());
    };
    let typed = |item: Value| match item {
        Value::Object(fields) => {
            let mut typed = Map::from_iter([("@type".to_owned(), kind.as_str().into())]);
            typed.extend(fields);
            Value::Object(typed)
        }
        other => other,
    };
    Ok(list.into_iter().map(typed).collect())
}

/// A section with those items of its lists whose names match.
fn named(section: Value, names: &Regex) -> Value {
    let Value::Object(mut fields) = section else {
        return section;
    };
    for (_, list, _) in LISTS {
        if let Some(Value::Array(items)) = fields.get_mut(list) {
            items.retain(|item| name_of(item).is_some_and(|name| names.is_match(name)));
        }
    }
    Value::Object(fields)
}

fn name_of(item: &Value) -> Option<&str> {
    NAMES.iter().find_map(|path| {
        let mut path = path.iter();
        path.try_fold(item, |value, name| value.get(name))?.as_str()
    })
}

fn no_list(name: &str, sections: &[Value]) -> (StatusCode, String) {
    match sections.iter().any(|section| section.get(name).is_some()) {
        true => (
            StatusCode::BAD_REQUEST,
            format!("{name} is not a list; ?mask={name} gives this field only"),
        ),
        false => (
            StatusCode::NOT_FOUND,
            format!("{name} not found in config dump"),
        ),
    }
}

/// The fields of a value that paths lead to. A path that goes on below a list keeps the whole list, as in Envoy.
fn masked(value: &Value, paths: &[&[&str]]) -> Value {
    let Value::Object(fields) = value else {
        return value.clone();
    };
    let kept = fields.iter().filter_map(|(name, value)| {
        if name == "@type" {
            return Some((name.clone(), value.clone()));
        }
        let below = paths.iter().filter_map(|path| path.split_first());
        let below: Vec<&[&str]> = below
            .filter(|(head, _)| *head == name)
            .map(|(_, rest)| rest)
            .collect();
        if below.is_empty() {
            return None;
        }
        let is_whole = below.iter().any(|rest| rest.is_empty());
        let value = if is_whole {
            value.clone()
        } else {
            masked(value, &below)
        };
        Some((name.clone(), value))
    });
    Value::Object(kept.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn select(query: &str) -> Result<Vec<Value>, (StatusCode, String)> {
        let bootstrap = [ADMIN, "BootstrapConfigDump"].concat();
        let clusters = [ADMIN, "ClustersConfigDump"].concat();
        let sections = vec![
            json!({"@type": bootstrap, "bootstrap": {"node": {"id": "n"}, "admin": {}}}),
            json!({"@type": clusters, "version_info": "7",
                "dynamic_active_clusters": [{"version_info": "3", "cluster": {"@type": "c", "name": "a", "type": "EDS"}}]}),
        ];
        Selection::of(&Query::parse(query))
            .map_err(|message| (StatusCode::BAD_REQUEST, message))?
            .select(sections)
    }

    #[track_caller]
    fn check(query: &str, expected: Value) {
        assert_eq!(Value::Array(select(query).unwrap()), expected, "{query}");
    }

    #[test]
    fn masks_keep_fields_of_each_section() {
        let bootstrap = [ADMIN, "BootstrapConfigDump"].concat();
        let clusters = [ADMIN, "ClustersConfigDump"].concat();
        check(
            "mask=dynamic_active_clusters,dynamic_warming_clusters",
            json!([{"@type": bootstrap}, {"@type": clusters,
                "dynamic_active_clusters": [{"version_info": "3", "cluster": {"@type": "c", "name": "a", "type": "EDS"}}]}]),
        );
        check(
            "mask=bootstrap.node.id,bootstrap.admin",
            json!([{"@type": bootstrap, "bootstrap": {"node": {"id": "n"}, "admin": {}}}, {"@type": clusters}]),
        );
    }

    #[test]
    fn items_are_found_by_their_whole_names() {
        let names = |query: &str| {
            let sections = select(query).unwrap();
            let lists = sections.iter();
            let lists = lists.filter_map(|section| section["dynamic_active_clusters"].as_array());
            lists.flatten().count()
        };
        assert_eq!(names("name_regex=a"), 1);
        assert_eq!(names("name_regex=a|b"), 1);
        assert_eq!(names("name_regex="), 0);
        assert_eq!(names("name_regex=ab|[b-z]"), 0);
        let one = select("resource=dynamic_active_clusters&name_regex=.").unwrap();
        assert_eq!(one.len(), 1);
        let (status, message) = select("name_regex=(").unwrap_err();
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(
            message.starts_with("name_regex is no regular expression"),
            "{message}"
        );
    }

    #[test]
    fn a_list_is_given_item_by_item() {
        let item = [ADMIN, "ClustersConfigDump.DynamicCluster"].concat();
        check(
            "resource=dynamic_active_clusters&mask=cluster.name",
            json!([{"@type": item, "cluster": {"@type": "c", "name": "a"}}]),
        );
        check("resource=static_clusters", json!([]));
        let status = |query| select(query).unwrap_err().0;
        assert_eq!(status("resource=bootstrap"), StatusCode::BAD_REQUEST);
        assert_eq!(status("resource=teapots"), StatusCode::NOT_FOUND);
    }
}
