//! ServiceRoles with their bindings as AuthorizationPolicies: one for each service that a rule of a role names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::rbac_scope::{self, Scope};
use super::services::{Host, Labels};
use super::{Converted, Converter, LegacyKind, Source};
use crate::diag::Level;

/// Who is bound to a role, with the object that says so.
struct Bound {
    position: usize,
    /// `from` and `when` of today, one for each subject.
    subjects: Vec<Subject>,
}

#[derive(Clone, Default)]
struct Subject {
    source: Map<String, Value>,
    when: Vec<Value>,
}

/// A rule of a role.
struct Permission {
    /// Services by name; none means all of the namespace.
    services: Option<Vec<String>>,
    operation: Map<String, Value>,
    when: Vec<Value>,
    /// Labels that constraints ask of the called workload.
    labels: Labels,
}

/// Converts all of them.
pub(super) fn convert(converter: &Converter<'_>) -> Vec<Converted> {
    let (scope, mut converted) = rbac_scope::convert(converter);
    let mut bindings = bindings(converter);
    for (source, spec) in converter.of(LegacyKind::ServiceRole) {
        let permissions: Vec<Permission> = spec.objects("rules").iter().map(permission).collect();
        let key = (source.namespace().to_owned(), source.name().to_owned());
        let bound = bindings.remove(&key).unwrap_or_default();
        if bound.is_empty() {
            spec.remark(
                Level::Info,
                "nobody is bound to the role here, so that it allows nothing",
            );
            continue;
        }
        let role = Role {
            converter,
            source,
            bound: &bound,
            scope: &scope,
        };
        converted.extend(role.policies(&spec, permissions));
    }
    for ((_, role), bound) in bindings {
        for Bound { position, .. } in bound {
            let path = crate::diag::FieldPath::parse("spec.roleRef");
            let message =
                format!("the ServiceRole {role} is not here, so that the binding allows nothing");
            converter.notes.add(position, path, Level::Warning, message);
        }
    }
    converted
}

/// Bindings by the namespace and name of their role.
fn bindings(converter: &Converter<'_>) -> BTreeMap<(String, String), Vec<Bound>> {
    let mut all: BTreeMap<_, Vec<Bound>> = BTreeMap::new();
    for (source, spec) in converter.of(LegacyKind::ServiceRoleBinding) {
        let reference = spec.object("roleRef");
        let name = reference.as_ref().and_then(|reference| {
            reference.needless("kind");
            reference.needless("apiGroup");
            reference.filled("name")
        });
        let name = name.or_else(|| spec.filled("role"));
        let subjects = spec.objects("subjects").iter().map(subject).collect();
        if spec.text("mode") == Some("PERMISSIVE") {
            let message = "allows nobody: a policy with the annotation istio.io/dry-run only logs what it would do";
            spec.note(spec.at("mode"), Level::Warning, message);
            continue;
        }
        let Some(name) = name else {
            spec.note(spec.at("roleRef"), Level::Error, "names no role");
            continue;
        };
        let key = (source.namespace().to_owned(), name.to_owned());
        all.entry(key).or_default().push(Bound {
            position: source.position,
            subjects,
        });
    }
    all
}

/// A subject as a source and conditions. The user `*` is everybody.
fn subject(fields: &Fields<'_>) -> Subject {
    let mut subject = Subject::default();
    if let Some(user) = fields.filled("user").filter(|user| *user != "*") {
        subject.source.insert("principals".into(), json!([user]));
    }
    if let Some(group) = fields.filled("group") {
        subject
            .when
            .push(condition("request.auth.claims[groups]", [group]));
    }
    let lists = [
        ("names", "principals"),
        ("notNames", "notPrincipals"),
        ("principals", "principals"),
        ("notPrincipals", "notPrincipals"),
        ("namespaces", "namespaces"),
        ("notNamespaces", "notNamespaces"),
        ("ips", "ipBlocks"),
        ("notIps", "notIpBlocks"),
    ];
    for (old, new) in lists {
        let texts = fields.texts(old);
        if !texts.is_empty() {
            subject.source.insert(new.into(), json!(texts));
        }
    }
    for (key, value) in fields.words("properties") {
        match key.as_str() {
            "source.namespace" => add(&mut subject.source, "namespaces", &value),
            "source.principal" if value == "*" => {}
            "source.principal" => add(&mut subject.source, "principals", &value),
            "source.ip" => add(&mut subject.source, "ipBlocks", &value),
            _ => subject.when.push(condition(&key, [value.as_str()])),
        }
    }
    subject
}

fn add(source: &mut Map<String, Value>, name: &str, value: &str) {
    source.insert(name.to_owned(), json!([value]));
}

fn condition<'a>(key: &str, values: impl IntoIterator<Item = &'a str>) -> Value {
    let values: Vec<&str> = values.into_iter().collect();
    json!({"key": key, "values": values})
}

fn permission(fields: &Fields<'_>) -> Permission {
    let services = fields.texts("services");
    let all = services.is_empty() || services.contains(&"*");
    let mut operation = Map::new();
    let lists = [
        "hosts",
        "notHosts",
        "paths",
        "notPaths",
        "methods",
        "notMethods",
        "ports",
        "notPorts",
    ];
    for name in lists {
        let texts: Vec<String> = match name {
            "ports" | "notPorts" => numbers(fields, name),
            _ => fields.texts(name).into_iter().map(str::to_owned).collect(),
        };
        // All paths or methods are no condition.
        if !texts.is_empty() && (name.starts_with("not") || !texts.iter().any(|text| text == "*")) {
            operation.insert(name.into(), json!(texts));
        }
    }
    let (mut when, mut labels) = (Vec::new(), Labels::new());
    for constraint in fields.objects("constraints") {
        let values = constraint.texts("values");
        let Some(key) = constraint.filled("key") else {
            constraint.remark(Level::Error, "names no key");
            continue;
        };
        let label = key
            .strip_prefix("destination.labels[")
            .and_then(|rest| rest.strip_suffix(']'));
        match (label, values.as_slice()) {
            (Some(label), [value]) => {
                labels.insert(label.to_owned(), (*value).to_owned());
            }
            (Some(_), _) => {
                let message =
                    "has no counterpart with several values: write a role for each of them";
                constraint.note(constraint.at("values"), Level::Warning, message);
            }
            (None, _)
                if matches!(
                    key,
                    "destination.namespace" | "destination.name" | "destination.user"
                ) =>
            {
                let message = "has no counterpart: a policy is for workloads of its own namespace by their labels";
                constraint.note(constraint.at("key"), Level::Warning, message);
            }
            (None, _) => when.push(condition(key, values)),
        }
    }
    Permission {
        services: (!all).then(|| services.into_iter().map(str::to_owned).collect()),
        operation,
        when,
        labels,
    }
}

/// Ports, which old roles wrote as numbers.
fn numbers(fields: &Fields<'_>, name: &str) -> Vec<String> {
    let items = fields.value(name).and_then(Value::as_array);
    let items = items.into_iter().flatten();
    let text = |item: &Value| match item {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    items.filter_map(text).collect()
}

/// A role that somebody is bound to.
struct Role<'a> {
    converter: &'a Converter<'a>,
    source: Source<'a>,
    bound: &'a [Bound],
    scope: &'a Scope,
}

// === impl Role ===

impl Role<'_> {
    /// A policy for each workload that the permissions are about.
    fn policies(&self, spec: &Fields<'_>, permissions: Vec<Permission>) -> Vec<Converted> {
        let mut by_workload: BTreeMap<Labels, (String, Vec<Value>)> = BTreeMap::new();
        for permission in permissions {
            for (name, mut labels) in self.workloads(spec, &permission) {
                labels.extend(permission.labels.clone());
                let entry = by_workload.entry(labels);
                let (_, rules) = entry.or_insert_with(|| (name, Vec::new()));
                rules.extend(self.rules(&permission));
            }
        }
        let alone = by_workload.len() == 1;
        let policies = by_workload.into_iter().map(|(labels, (service, rules))| {
            let mut policy = Map::new();
            if !labels.is_empty() {
                policy.insert("selector".into(), json!({"matchLabels": labels}));
            }
            policy.insert("action".into(), "ALLOW".into());
            policy.insert("rules".into(), rules.into());
            let role = self.source.name();
            let name = if alone {
                role.to_owned()
            } else {
                format!("{role}-{service}")
            };
            let kind = ("security.istio.io/v1", "AuthorizationPolicy");
            let bound = self.bound.iter().map(|bound| bound.position);
            Converted {
                value: self
                    .converter
                    .object(kind, (self.source, &name), policy.into()),
                sources: std::iter::once(self.source.position).chain(bound).collect(),
            }
        });
        policies.collect()
    }

    /// Names and labels of the workloads that a permission is about, as far as authorization is on for them.
    fn workloads(&self, spec: &Fields<'_>, permission: &Permission) -> Vec<(String, Labels)> {
        let around = self.converter.around;
        let namespace = self.source.namespace();
        let unsaid = around.assumes_authorization;
        let Some(services) = &permission.services else {
            let covered = self.scope.covers(namespace, None, unsaid);
            return match covered {
                true => vec![("all".to_owned(), Labels::new())],
                false => Vec::new(),
            };
        };
        let mut names = BTreeSet::new();
        for service in services {
            match service.strip_suffix('*') {
                None => {
                    names.insert(service.split('.').next().unwrap_or(service).to_owned());
                }
                Some(prefix) => {
                    let known = around.services.names(namespace);
                    let known: Vec<&str> = known.filter(|name| name.starts_with(prefix)).collect();
                    if known.is_empty() {
                        let message = format!(
                            "no Service of {namespace} is known here that {service:?} is about"
                        );
                        spec.note(spec.at("rules"), Level::Warning, message);
                    }
                    names.extend(known.into_iter().map(str::to_owned));
                }
            }
        }
        let covered = names.into_iter().filter(|name| {
            let host = Host::named(name, namespace, around);
            self.scope.covers(namespace, Some(&host), unsaid)
        });
        covered
            .map(|name| {
                let labels = around.services.selector((namespace, &name), spec);
                (name, labels)
            })
            .collect()
    }

    /// A rule for each subject that is bound.
    fn rules(&self, permission: &Permission) -> Vec<Value> {
        let subjects = self.bound.iter().flat_map(|bound| &bound.subjects);
        let rules = subjects.map(|subject| {
            let mut rule = Map::new();
            if !subject.source.is_empty() {
                rule.insert("from".into(), json!([{"source": subject.source}]));
            }
            if !permission.operation.is_empty() {
                rule.insert("to".into(), json!([{"operation": permission.operation}]));
            }
            let when: Vec<&Value> = subject.when.iter().chain(&permission.when).collect();
            if !when.is_empty() {
                rule.insert("when".into(), json!(when));
            }
            Value::Object(rule)
        });
        rules.collect()
    }
}
