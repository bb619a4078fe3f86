//! Services as old objects name them, and what is known about those of Kubernetes.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value, json};

use super::Surroundings;
use super::fields::Fields;
use crate::diag::Level;
use crate::resource::{Object, Resource};
use crate::snapshot::expand_host;

/// Labels.
pub(super) type Labels = BTreeMap<String, String>;

/// What is known about the Services of Kubernetes.
#[derive(Clone, Debug, Default)]
pub struct Services(BTreeMap<(Arc<str>, Arc<str>), Service>);

#[derive(Clone, Debug)]
struct Service {
    selector: Labels,
    ports: Vec<Port>,
}

#[derive(Clone, Debug)]
struct Port {
    name: Option<String>,
    number: i32,
    target: Option<IntOrString>,
}

/// A host that an old object names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    /// The name in full.
    pub(super) full: String,
    /// As the new object says it: the short name within the object's own namespace.
    pub(super) text: String,
}

// === impl Services ===

impl Services {
    /// Those among objects.
    pub fn new<'a>(resources: impl Iterator<Item = &'a Resource>) -> Self {
        let services = resources.filter_map(|resource| {
            let Object::Service(service) = &resource.object else {
                return None;
            };
            let spec = service.spec.as_ref()?;
            let ports = spec.ports.iter().flatten().map(|port| Port {
                name: port.name.clone(),
                number: port.port,
                target: port.target_port.clone(),
            });
            let known = Service {
                selector: spec.selector.clone().unwrap_or_default(),
                ports: ports.collect(),
            };
            let key = &resource.key;
            Some(((key.namespace.clone(), key.name.clone()), known))
        });
        Self(services.collect())
    }

    fn find(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.0.get(&(namespace.into(), name.into()))
    }

    /// Names of a namespace's services.
    pub(super) fn names(&self, namespace: &str) -> impl Iterator<Item = &str> {
        let all = self.0.keys();
        all.filter(move |(known, _)| **known == *namespace)
            .map(|(_, name)| &**name)
    }

    /// The labels of a service's pods. Of a service that is not known it is assumed that they have its name as `app`, as is usual; that is
    /// noted.
    pub(super) fn selector(&self, (namespace, name): (&str, &str), fields: &Fields<'_>) -> Labels {
        let known = self.find(namespace, name);
        if let Some(known) = known.filter(|known| !known.selector.is_empty()) {
            return known.selector.clone();
        }
        let message = format!(
            "is for the pods with the label app={name} from now on, since the Service {namespace}/{name} is not known here"
        );
        fields.remark(Level::Info, message);
        [("app".to_owned(), name.to_owned())].into()
    }

    /// The number at the pods of a service's port, which is named or numbered. None when that cannot be told.
    pub(super) fn target_port(&self, namespace: &str, name: &str, port: &Value) -> Option<u32> {
        let number = port.get("number").and_then(Value::as_i64);
        let named = port.get("name").and_then(Value::as_str);
        let usual = || number.and_then(|number| u32::try_from(number).ok());
        let Some(service) = self.find(namespace, name) else {
            return usual();
        };
        let found = service.ports.iter().find(|known| {
            number.is_some_and(|number| number == i64::from(known.number))
                || named.is_some() && known.name.as_deref() == named
        })?;
        match &found.target {
            None => u32::try_from(found.number).ok(),
            Some(IntOrString::Int(target)) => u32::try_from(*target).ok(),
            Some(IntOrString::String(_)) => None,
        }
    }
}

// === impl Host ===

impl Host {
    /// The host of an old `IstioService`. Its labels are left for others to read.
    pub(super) fn of(service: &Fields<'_>, namespace: &str, around: &Surroundings) -> Option<Host> {
        let (own, domain) = (service.filled("namespace"), service.filled("domain"));
        let whole = service.filled("service");
        let name = service.filled("name");
        let text = match (whole, name) {
            (Some(whole), _) => whole.to_owned(),
            (None, Some(name)) if domain.is_none() && own.is_none_or(|own| own == namespace) => {
                name.to_owned()
            }
            (None, Some(name)) => {
                let namespace = own.unwrap_or(namespace);
                let usual = format!("svc.{}", around.domain);
                format!("{name}.{namespace}.{}", domain.unwrap_or(&usual))
            }
            (None, None) => return None,
        };
        Some(Host::named(&text, namespace, around))
    }

    /// A host by its name.
    pub(super) fn named(text: &str, namespace: &str, around: &Surroundings) -> Host {
        Host {
            full: expand_host(text, namespace, &around.domain),
            text: text.to_owned(),
        }
    }

    /// As the name of an object.
    pub(super) fn object_name(&self) -> String {
        match self.text.strip_prefix('*') {
            None => self.text.to_ascii_lowercase(),
            Some("") => "all".to_owned(),
            Some(rest) => format!("all{}", rest.to_ascii_lowercase()),
        }
    }
}

/// The subset that stands for labels: the version alone where they say only that.
pub(super) fn subset_name(labels: &Labels) -> String {
    let version = labels.get("version").filter(|_| labels.len() == 1);
    let words: Vec<String> = match version {
        Some(version) => vec![version.clone()],
        None => labels
            .iter()
            .map(|(key, value)| format!("{key}-{value}"))
            .collect(),
    };
    let plain = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
        _ => '-',
    };
    words.join("-").chars().map(plain).collect()
}

/// A destination of today's.
pub(super) fn destination(host: &Host, labels: &Labels) -> Value {
    let mut destination = Map::new();
    destination.insert("host".into(), json!(host.text));
    if !labels.is_empty() {
        destination.insert("subset".into(), subset_name(labels).into());
    }
    destination.into()
}
