//! Injection into one pod or pod template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Map, Value, json};

use super::annotations::{self, InjectionTemplate, Interception, Traffic, given};
use super::decide::REVISION;
use super::probes::{self, PROBERS, Probers};
use super::prometheus::{self, SCRAPE};
use super::proxy_config::MergedProxyConfig;
use super::sidecar::{self, ProxySpec, env};
use super::template::{Template, has_name};
use super::{INIT_CONTAINER, InjectConfig, InjectError, PROXY_CONTAINER, overrides, router};
use crate::snapshot::{TLS_MODE_ISTIO, TLS_MODE_LABEL};

/// Annotation that says what was injected.
pub(super) const STATUS: &str = "sidecar.istio.io/status";

/// Longest value of a label.
const LABEL_LENGTH: usize = 63;

/// The object that a pod belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// Name; empty for pods whose name the API server makes up.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// A pod with its proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct InjectedPod {
    /// The pod or template.
    pub value: Value,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What is known of the pod before anything is changed.
struct Plan<'a> {
    config: &'a InjectConfig,
    owner: &'a Owner,
    template: InjectionTemplate,
    proxy: MergedProxyConfig,
    mode: Interception,
    traffic: Traffic,
    native: bool,
    resources: ResourceRequirements,
    image: String,
}

/// Adds the proxy to a pod or pod template (an object with `metadata` and `spec`). A pod that has one gets the one of this
/// configuration instead; with the same configuration nothing changes.
///
/// # Errors
/// When an annotation has no valid value, or the pod is malformed.
pub fn inject_pod(
    pod: &Value,
    owner: &Owner,
    config: &InjectConfig,
) -> Result<InjectedPod, InjectError> {
    let mut pod = Template::read(pod)?;
    let warnings = annotations::without_effect(&pod.annotations);
    let plan = Plan::new(&pod, owner, config)?;
    let before = Before::read(&pod);
    let over = overrides::of_user(&mut pod, before.injected)?;
    before.remove(&mut pod);
    let apps: Vec<String> = app_containers(&pod);
    let scrape = prometheus::merge(&mut pod.annotations, before.scrape.clone(), config)?;
    let rewrite = annotations::switch(&pod.annotations, "sidecar.istio.io/rewriteAppHTTPProbers")?
        .unwrap_or(config.injector.values.rewrite_app_http_probe);
    let probers = match rewrite && plan.template == InjectionTemplate::Sidecar {
        true => probes::rewrite(&mut pod, &before.probers),
        false => Probers::new(),
    };
    let mut container = to_map(plan.proxy(&apps, &probers, scrape).container());
    if let Some(over) = &over {
        overrides::apply(&mut container, over);
    }
    plan.place(&mut pod, container);
    plan.annotate(&mut pod, apps.first());
    Ok(InjectedPod {
        value: pod.finish(),
        warnings,
    })
}

fn app_containers(pod: &Template) -> Vec<String> {
    pod.list("containers")
        .iter()
        .filter(|container| !has_name(container, PROXY_CONTAINER))
        .filter_map(|container| container["name"].as_str().map(str::to_owned))
        .collect()
}

/// A typed value as a raw one, with name and image first, as people write it. The types at hand always serialise.
fn to_map(value: impl serde::Serialize) -> Map<String, Value> {
    let Ok(Value::Object(mut map)) = serde_json::to_value(value) else {
        return Map::new();
    };
    let mut ordered = Map::new();
    for key in ["name", "image"] {
        ordered.extend(map.shift_remove_entry(key));
    }
    ordered.append(&mut map);
    ordered
}

// === impl Plan ===

impl<'a> Plan<'a> {
    fn new(
        pod: &Template,
        owner: &'a Owner,
        config: &'a InjectConfig,
    ) -> Result<Self, InjectError> {
        let all = &pod.annotations;
        let mut proxy = MergedProxyConfig::read(all, config)?;
        let resources = resources(all, &config.injector.values.resources)?;
        let limit = resources.limits.as_ref().and_then(|all| all.get("cpu"));
        proxy.default_concurrency(limit.map(|quantity| quantity.0.as_str()));
        let image = given(all, "sidecar.istio.io/proxyImage");
        let values = &config.injector.values;
        // Holding the application back needs a proxy that starts before it, which is what a native sidecar is.
        let hold = proxy.flag("holdApplicationUntilProxyStarts");
        let usual = values.native_sidecar.unwrap_or(config.has_native_sidecars);
        let native = annotations::switch(all, "sidecar.istio.io/nativeSidecar")?;
        let native = native.unwrap_or(usual || hold);
        let template = InjectionTemplate::read(all)?;
        let is_sidecar = template == InjectionTemplate::Sidecar;
        Ok(Self {
            template,
            mode: match is_sidecar {
                true => Interception::read(all, proxy.text("interceptionMode"))?,
                // Clients come to a gateway by its own ports.
                false => Interception::None,
            },
            traffic: Traffic::read(all, config)?,
            image: values.image_reference(image.unwrap_or(&values.image)),
            native: native && is_sidecar,
            resources,
            proxy,
            owner,
            config,
        })
    }

    fn workload_name(&self) -> &str {
        &self.owner.name
    }

    fn proxy(&self, apps: &[String], probers: &Probers, scrape: Option<String>) -> ProxySpec {
        let values = &self.config.injector.values;
        let level = self.proxy.text("logLevel").unwrap_or(&values.log_level);
        let domain = format!("$(POD_NAMESPACE).svc.{}", values.cluster_domain);
        let Owner {
            api_version,
            kind,
            name,
            namespace,
        } = self.owner;
        let plural = kind.to_lowercase();
        let owner =
            format!("kubernetes://apis/{api_version}/namespaces/{namespace}/{plural}s/{name}");
        let is_sidecar = self.template == InjectionTemplate::Sidecar;
        let (role, of_role) = match self.template {
            InjectionTemplate::Sidecar => (
                "sidecar",
                env("ISTIO_META_INTERCEPTION_MODE", self.mode.name()),
            ),
            InjectionTemplate::Gateway => ("router", env("ISTIO_META_UNPRIVILEGED_POD", "true")),
        };
        let mut all: Vec<EnvVar> = vec![env("PROXY_CONFIG", self.proxy.to_json())];
        all.extend(is_sidecar.then(|| env("ISTIO_META_APP_CONTAINERS", apps.join(","))));
        all.extend([
            env("ISTIO_META_CLUSTER_ID", values.cluster_id.as_str()),
            of_role,
            env("ISTIO_META_WORKLOAD_NAME", self.workload_name()),
            env("ISTIO_META_OWNER", owner),
            env("TRUST_DOMAIN", self.trust_domain()),
        ]);
        all.extend(scrape.map(|json| env(SCRAPE, json)));
        if !probers.is_empty() {
            let json = serde_json::to_string(probers).unwrap_or_default();
            all.push(env(PROBERS, json));
        }
        let metadata = self.proxy.metadata();
        all.extend(metadata.iter().map(|(key, value)| env(key, value.as_str())));
        ProxySpec {
            image: self.image.clone(),
            pull_policy: values.image_pull_policy.clone(),
            args: vec![
                "proxy".into(),
                role.into(),
                "--domain".into(),
                domain,
                format!("--proxyLogLevel={level}"),
            ],
            env: all,
            resources: self.resources.clone(),
            ports: Vec::new(),
            ca_address: self.config.discovery_address(),
        }
    }

    fn trust_domain(&self) -> &str {
        let domain = self.config.mesh.trust_domain.as_deref();
        domain.unwrap_or(&self.config.injector.values.cluster_domain)
    }

    /// Puts containers and volumes in. The proxy comes last among containers, so that the application's own is the first; the
    /// init container comes last too, because nothing gets out once it has run and the proxy does not listen yet. A native
    /// sidecar and its init container come first.
    fn place(&self, pod: &mut Template, mut container: Map<String, Value>) {
        let mut inits = Vec::new();
        if self.mode == Interception::Redirect {
            inits.push(Value::Object(to_map(sidecar::init_container(
                self.image.clone(),
                self.config.injector.values.image_pull_policy.clone(),
                &self.traffic,
                self.mode,
                self.resources.clone(),
                &self.proxy.metadata(),
            ))));
        }
        if self.native {
            container.insert("restartPolicy".into(), "Always".into());
            inits.push(Value::Object(container));
            pod.list_mut("initContainers").splice(0..0, inits);
        } else {
            pod.list_mut("containers").push(Value::Object(container));
            if !inits.is_empty() {
                pod.list_mut("initContainers").extend(inits);
            }
        }
        let volumes = pod.list_mut("volumes");
        for volume in sidecar::volumes() {
            let volume = Value::Object(to_map(volume));
            let same = |other: &&mut Value| other.get("name") == volume.get("name");
            match volumes.iter_mut().find(same) {
                Some(place) => *place = volume,
                None => volumes.push(volume),
            }
        }
        if self.template == InjectionTemplate::Gateway {
            router::allow_low_ports(pod.spec());
        }
        for secret in &self.config.injector.values.image_pull_secrets {
            let secrets = pod.list_mut("imagePullSecrets");
            if !secrets.iter().any(|other| has_name(other, secret)) {
                secrets.push(json!({ "name": secret }));
            }
        }
    }

    /// Labels and annotations. The label `security.istio.io/tlsMode: istio` promises that the proxy takes the mesh's mutual TLS.
    fn annotate(&self, pod: &mut Template, first_app: Option<&String>) {
        let name = canonical(
            &pod.labels,
            &["app.kubernetes.io/name", "app"],
            self.workload_name(),
        );
        let revision = canonical(
            &pod.labels,
            &["app.kubernetes.io/version", "version"],
            "latest",
        );
        for (label, value) in [("canonical-name", name), ("canonical-revision", revision)] {
            if !value.is_empty() {
                let label = format!("service.istio.io/{label}");
                pod.labels.entry(label).or_insert(value);
            }
        }
        if self.template == InjectionTemplate::Sidecar {
            let mode = pod.labels.entry(TLS_MODE_LABEL.to_owned());
            mode.or_insert_with(|| TLS_MODE_ISTIO.to_owned());
        }
        let revision = &self.config.injector.revision;
        pod.annotations.insert(REVISION.into(), revision.clone());
        for name in ["default-container", "default-logs-container"] {
            if let Some(app) = first_app {
                let name = format!("kubectl.kubernetes.io/{name}");
                pod.annotations.entry(name).or_insert(app.clone());
            }
        }
        let status = self.status(revision).to_string();
        pod.annotations.insert(STATUS.into(), status);
    }

    fn status(&self, revision: &str) -> Value {
        let redirected = self.mode == Interception::Redirect;
        let mut inits: Vec<&str> = redirected.then_some(INIT_CONTAINER).into_iter().collect();
        let mut containers = Vec::new();
        match self.native {
            true => inits.push(PROXY_CONTAINER),
            false => containers.push(PROXY_CONTAINER),
        }
        let volumes: Vec<String> = sidecar::volumes()
            .into_iter()
            .map(|volume| volume.name)
            .collect();
        json!({
            "initContainers": inits,
            "containers": containers,
            "volumes": volumes,
            "imagePullSecrets": self.config.injector.values.image_pull_secrets,
            "revision": revision,
        })
    }
}

/// A canonical name: the first of these labels, else the fallback, cut to the length of a label.
fn canonical(labels: &BTreeMap<String, String>, keys: &[&str], fallback: &str) -> String {
    let value = keys.iter().find_map(|key| labels.get(*key));
    let value = value.map_or(fallback, String::as_str);
    value.chars().take(LABEL_LENGTH).collect()
}

/// The configuration's resources with the annotations' over them.
fn resources(
    annotations: &BTreeMap<String, String>,
    default: &ResourceRequirements,
) -> Result<ResourceRequirements, InjectError> {
    let mut resources = default.clone();
    for (name, what, limit) in [
        ("proxyCPU", "cpu", false),
        ("proxyMemory", "memory", false),
        ("proxyCPULimit", "cpu", true),
        ("proxyMemoryLimit", "memory", true),
    ] {
        let name = format!("sidecar.istio.io/{name}");
        let Some(amount) = given(annotations, &name) else {
            continue;
        };
        if !amount.starts_with(|c: char| c.is_ascii_digit())
            || !amount
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '.')
        {
            let message = format!("{amount:?} is not a quantity such as 100m or 128Mi");
            return Err(InjectError::annotation(&name, message));
        }
        let slot = match limit {
            true => &mut resources.limits,
            false => &mut resources.requests,
        };
        let amount = Quantity(amount.to_owned());
        slot.get_or_insert_default().insert(what.into(), amount);
    }
    Ok(resources)
}

/// What an earlier injection left in the pod.
#[derive(Default)]
struct Before {
    injected: bool,
    probers: Probers,
    scrape: Option<String>,
    /// List in `spec` and name of an item in it.
    items: Vec<(&'static str, String)>,
}

// === impl Before ===

impl Before {
    fn read(pod: &Template) -> Self {
        let mut before = Self::default();
        let status = pod.annotations.get(STATUS).map(String::as_str);
        let status = status.and_then(|text| serde_json::from_str::<Value>(text).ok());
        if let Some(status) = &status {
            before.injected = true;
            for list in [
                "initContainers",
                "containers",
                "volumes",
                "imagePullSecrets",
            ] {
                let names = status[list].as_array().into_iter().flatten();
                let names = names.filter_map(Value::as_str).map(str::to_owned);
                before.items.extend(names.map(|name| (list, name)));
            }
        }
        let proxy = ["containers", "initContainers"]
            .into_iter()
            .find_map(|list| pod.named(list, PROXY_CONTAINER));
        let text = |name| {
            let all = proxy?.get("env")?.as_array()?;
            let found = all.iter().find(|one| has_name(one, name))?;
            Some(found.get("value")?.as_str()?.to_owned())
        };
        before.scrape = text(SCRAPE);
        let probers = text(PROBERS).and_then(|json| serde_json::from_str(&json).ok());
        before.probers = probers.unwrap_or_default();
        before
    }

    /// Takes out what will be put in again, and what the status names. Volumes stay where they are, because theirs is a place
    /// among the user's; those that are no longer injected go.
    fn remove(&self, pod: &mut Template) {
        let fresh: Vec<String> = sidecar::volumes().into_iter().map(|one| one.name).collect();
        let own = [INIT_CONTAINER, PROXY_CONTAINER];
        for list in ["initContainers", "containers", "volumes"] {
            let spec = pod.spec();
            let Some(items) = spec.get_mut(list).and_then(Value::as_array_mut) else {
                continue;
            };
            items.retain(|item| {
                let name = item["name"].as_str().unwrap_or_default();
                let named = self
                    .items
                    .iter()
                    .any(|(of, one)| *of == list && one == name);
                match list {
                    "volumes" => !named || fresh.iter().any(|one| one == name),
                    _ => !named && !own.contains(&name),
                }
            });
            if items.is_empty() && self.injected {
                spec.shift_remove(list);
            }
        }
    }
}
