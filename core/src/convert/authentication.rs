//! `Policy` and `MeshPolicy` of old: who may connect becomes PeerAuthentication, whose tokens count RequestAuthentication, and that there must
//! be a token an AuthorizationPolicy that denies requests without one.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::services::Labels;
use super::{Converted, Converter, LegacyKind, Source};
use crate::diag::Level;

const API_VERSION: &str = "security.istio.io/v1";

/// The only name under which a policy for a namespace or the mesh counted.
const DEFAULT: &str = "default";

/// What one policy says, read once and written for each of its targets.
struct Said {
    /// Mode of mutual TLS.
    mode: &'static str,
    jwt_rules: Vec<Value>,
    /// Paths that need a token: conditions of today, each with its paths. Empty when no request needs one.
    required: Vec<Value>,
}

/// Workloads that a policy is for.
struct Target {
    name: String,
    /// None for a whole namespace or the mesh.
    labels: Option<Labels>,
    /// Numbers of ports at the workload; none means all.
    ports: Vec<u32>,
}

/// Converts all of them.
pub(super) fn convert(converter: &Converter<'_>) -> Vec<Converted> {
    let mesh = converter.of(LegacyKind::MeshPolicy);
    let policies = converter.of(LegacyKind::Policy);
    mesh.chain(policies)
        .flat_map(|(source, spec)| one(converter, source, &spec))
        .collect()
}

fn one(converter: &Converter<'_>, source: Source<'_>, spec: &Fields<'_>) -> Vec<Converted> {
    let said = said(spec);
    let targets = targets(converter, source, spec);
    targets
        .iter()
        .flat_map(|target| said.for_target(converter, source, target))
        .collect()
}

fn targets(converter: &Converter<'_>, source: Source<'_>, spec: &Fields<'_>) -> Vec<Target> {
    let listed = spec.objects("targets");
    let name = source.name();
    if listed.is_empty() {
        if name != DEFAULT {
            let message = "a policy without targets counted only under the name default";
            spec.remark(Level::Warning, message);
            return Vec::new();
        }
        return vec![Target {
            name: DEFAULT.to_owned(),
            labels: None,
            ports: Vec::new(),
        }];
    }
    let namespace = source.namespace();
    let alone = listed.len() == 1;
    let targets = listed.iter().filter_map(|target| {
        let Some(service) = target.filled("name") else {
            target.remark(Level::Error, "names no service");
            return None;
        };
        let service = service.split('.').next().unwrap_or(service);
        let services = &converter.around.services;
        let mut labels = services.selector((namespace, service), target);
        labels.extend(target.words("labels"));
        let ports = target.value("ports").and_then(Value::as_array);
        let ports = ports.into_iter().flatten().enumerate();
        let ports = ports.filter_map(|(index, port)| {
            let number = services.target_port(namespace, service, port);
            if number.is_none() {
                let message = "the number of this port at the pods is not known here";
                target.note(target.at("ports").index(index), Level::Warning, message);
            }
            number
        });
        Some(Target {
            name: if alone {
                name.to_owned()
            } else {
                format!("{name}-{service}")
            },
            ports: ports.collect(),
            labels: Some(labels),
        })
    });
    targets.collect()
}

fn said(spec: &Fields<'_>) -> Said {
    let peers = spec.objects("peers");
    let optional = spec.flag("peerIsOptional").unwrap_or(false);
    let origins = spec.objects("origins");
    let mut mode = None;
    for peer in &peers {
        peer.lost(
            "jwt",
            "has no counterpart: peers are known by certificates only",
        );
        if !peer.has("mtls") {
            continue;
        }
        let permissive = peer.object("mtls").is_some_and(|mtls| {
            mtls.lost(
                "allowTls",
                "has no counterpart: TLS without a certificate is not mutual",
            );
            mtls.text("mode") == Some("PERMISSIVE")
        });
        mode = Some(if permissive || optional {
            "PERMISSIVE"
        } else {
            "STRICT"
        });
    }
    // Policies about tokens alone asked for no certificates, and refused none.
    let mode = mode.unwrap_or(if origins.is_empty() {
        "DISABLE"
    } else {
        "PERMISSIVE"
    });
    if spec.text("principalBinding") == Some("USE_ORIGIN") {
        let message = "has no counterpart: rules name certificates by principals and tokens by requestPrincipals";
        spec.note(spec.at("principalBinding"), Level::Info, message);
    }
    let optional = spec.flag("originIsOptional").unwrap_or(false);
    let (mut jwt_rules, mut required) = (Vec::new(), Vec::new());
    let several = origins.len() > 1;
    for origin in &origins {
        let Some(jwt) = origin.object("jwt") else {
            continue;
        };
        jwt_rules.push(jwt_rule(&jwt));
        let paths = trigger_rules(&jwt);
        if several && !paths.is_empty() {
            let message = "of several issuers, all tokens are required at all paths from now on";
            jwt.note(jwt.at("triggerRules"), Level::Warning, message);
        } else if !optional {
            required.extend(paths);
        }
    }
    if !optional && required.is_empty() && !jwt_rules.is_empty() {
        required.push(json!({}));
    }
    Said {
        mode,
        jwt_rules,
        required,
    }
}

fn jwt_rule(jwt: &Fields<'_>) -> Value {
    let mut rule = Map::new();
    for name in ["issuer", "jwksUri", "jwks"] {
        if let Some(text) = jwt.filled(name) {
            rule.insert(name.into(), text.into());
        }
    }
    let audiences = jwt.texts("audiences");
    if !audiences.is_empty() {
        rule.insert("audiences".into(), json!(audiences));
    }
    let headers = jwt.texts("jwtHeaders");
    if !headers.is_empty() {
        let headers = headers.iter().map(|name| json!({"name": name}));
        rule.insert("fromHeaders".into(), headers.collect());
    }
    let parameters = jwt.texts("jwtParams");
    if !parameters.is_empty() {
        rule.insert("fromParams".into(), json!(parameters));
    }
    // Applications got the token of old.
    rule.insert("forwardOriginalToken".into(), true.into());
    rule.into()
}

/// The paths of each trigger rule as conditions of an operation.
fn trigger_rules(jwt: &Fields<'_>) -> Vec<Value> {
    let rules = jwt.objects("triggerRules");
    let conditions = rules.iter().map(|rule| {
        let mut operation = Map::new();
        for (old, new) in [("includedPaths", "paths"), ("excludedPaths", "notPaths")] {
            let paths = rule.objects(old);
            let paths: Vec<String> = paths.iter().filter_map(path).collect();
            if !paths.is_empty() {
                operation.insert(new.into(), json!(paths));
            }
        }
        Value::Object(operation)
    });
    conditions.collect()
}

fn path(fields: &Fields<'_>) -> Option<String> {
    fields.lost(
        "regex",
        "has no counterpart: paths are exact, or have * at one end",
    );
    let exact = fields.text("exact").map(str::to_owned);
    let prefix = fields.text("prefix").map(|text| format!("{text}*"));
    let suffix = fields.text("suffix").map(|text| format!("*{text}"));
    exact.or(prefix).or(suffix)
}

// === impl Said ===

impl Said {
    fn for_target(
        &self,
        converter: &Converter<'_>,
        source: Source<'_>,
        target: &Target,
    ) -> Vec<Converted> {
        let mut made = Vec::new();
        let mut add = |kind: &str, name: &str, mut spec: Map<String, Value>| {
            if let Some(labels) = &target.labels {
                let selector = json!({"matchLabels": labels});
                spec.shift_insert(0, "selector".into(), selector);
            }
            made.push(Converted {
                value: converter.object((API_VERSION, kind), (source, name), spec.into()),
                sources: vec![source.position],
            });
        };
        add("PeerAuthentication", &target.name, self.peers(target));
        if !self.jwt_rules.is_empty() {
            let spec = [("jwtRules".to_owned(), json!(self.jwt_rules))];
            add(
                "RequestAuthentication",
                &target.name,
                spec.into_iter().collect(),
            );
        }
        if !self.required.is_empty() {
            let rules = self.required.iter().map(|operation| {
                let mut rule = json!({"from": [{"source": {"notRequestPrincipals": ["*"]}}]});
                let mut operation = operation.as_object().cloned().unwrap_or_default();
                if !target.ports.is_empty() {
                    let ports = target.ports.iter().map(u32::to_string);
                    operation.insert("ports".into(), ports.collect());
                }
                if !operation.is_empty() {
                    rule["to"] = json!([{"operation": operation}]);
                }
                rule
            });
            let rules: Vec<Value> = rules.collect();
            let spec = [
                ("action".to_owned(), "DENY".into()),
                ("rules".to_owned(), rules.into()),
            ];
            let name = format!("{}-token", target.name);
            add("AuthorizationPolicy", &name, spec.into_iter().collect());
        }
        made
    }

    fn peers(&self, target: &Target) -> Map<String, Value> {
        let mode = json!({"mode": self.mode});
        let mut spec = Map::new();
        if target.ports.is_empty() {
            spec.insert("mtls".into(), mode);
        } else {
            let ports = target.ports.iter();
            let ports = ports.map(|port| (port.to_string(), mode.clone()));
            spec.insert("portLevelMtls".into(), Value::Object(ports.collect()));
        }
        spec
    }
}
