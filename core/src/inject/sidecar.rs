//! What is added to a pod: the proxy's container, the init container, and their volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, DownwardAPIVolumeFile,
    DownwardAPIVolumeSource, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, Probe, ProjectedVolumeSource, ResourceRequirements, SecurityContext,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::annotations::{Interception, Traffic};
use super::{INIT_CONTAINER, PROXY_CONTAINER};

/// User and group of the proxy; its own traffic is told from the application's by it.
pub(crate) const PROXY_UID: i64 = 1337;

/// Port of the proxy's own metrics.
const METRICS_PORT: i32 = 15090;

/// Port on which the proxy says whether it is ready.
const READY_PORT: i32 = 15021;

/// What a proxy's container is built from; sidecars and gateways.
pub(crate) struct ProxySpec {
    /// Image reference.
    pub(crate) image: String,
    /// When the image is pulled; empty for Kubernetes' default.
    pub(crate) pull_policy: String,
    /// Arguments of the program.
    pub(crate) args: Vec<String>,
    /// Environment beside what every proxy has.
    pub(crate) env: Vec<EnvVar>,
    /// Resources.
    pub(crate) resources: ResourceRequirements,
    /// Ports beside the metrics'.
    pub(crate) ports: Vec<ContainerPort>,
    /// Address of the certificate authority.
    pub(crate) ca_address: String,
}

/// Environment variable with a value.
pub(crate) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    }
}

/// Environment variable with a field of the pod.
fn env_field(name: &str, path: &str) -> EnvVar {
    let field_ref = Some(ObjectFieldSelector {
        api_version: None,
        field_path: path.into(),
    });
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref,
            ..EnvVarSource::default()
        }),
    }
}

// === impl ProxySpec ===

impl ProxySpec {
    /// The container.
    pub(crate) fn container(self) -> Container {
        let mut all_env = vec![
            env("PILOT_CERT_PROVIDER", "istiod"),
            env("CA_ADDR", self.ca_address),
            env_field("POD_NAME", "metadata.name"),
            env_field("POD_NAMESPACE", "metadata.namespace"),
            env_field("INSTANCE_IP", "status.podIP"),
            env_field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
            env_field("HOST_IP", "status.hostIP"),
            env_field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        ];
        all_env.extend(self.env);
        let mut ports = self.ports;
        ports.push(ContainerPort {
            container_port: METRICS_PORT,
            name: Some("http-envoy-prom".into()),
            protocol: Some("TCP".into()),
            ..ContainerPort::default()
        });
        Container {
            name: PROXY_CONTAINER.into(),
            image: Some(self.image),
            image_pull_policy: Some(self.pull_policy).filter(|policy| !policy.is_empty()),
            args: Some(self.args),
            env: Some(all_env),
            ports: Some(ports),
            resources: Some(self.resources),
            security_context: Some(unprivileged()),
            // The startup probe lets a pod become ready within a second of the proxy; the readiness probe may be slow then.
            startup_probe: Some(ready_probe(1, 600)),
            readiness_probe: Some(ready_probe(15, 4)),
            volume_mounts: Some(mounts()),
            ..Container::default()
        }
    }
}

fn unprivileged() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            add: None,
            drop: Some(vec!["ALL".into()]),
        }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_group: Some(PROXY_UID),
        run_as_non_root: Some(true),
        run_as_user: Some(PROXY_UID),
        ..SecurityContext::default()
    }
}

fn ready_probe(period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/healthz/ready".into()),
            port: IntOrString::Int(READY_PORT),
            ..HTTPGetAction::default()
        }),
        failure_threshold: Some(failures),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

fn mounts() -> Vec<VolumeMount> {
    [
        ("istiod-ca-cert", "/var/run/secrets/istio"),
        ("istio-data", "/var/lib/istio/data"),
        ("istio-envoy", "/etc/istio/proxy"),
        ("istio-token", "/var/run/secrets/tokens"),
        ("istio-podinfo", "/etc/istio/pod"),
    ]
    .map(|(name, path)| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        ..VolumeMount::default()
    })
    .into()
}

/// The volumes of a proxy.
pub(crate) fn volumes() -> Vec<Volume> {
    let named = |name: &str| Volume {
        name: name.into(),
        ..Volume::default()
    };
    let label_file = |file: &str, path: &str| DownwardAPIVolumeFile {
        path: file.into(),
        field_ref: Some(ObjectFieldSelector {
            api_version: None,
            field_path: path.into(),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            audience: Some("istio-ca".into()),
            expiration_seconds: Some(43_200),
            path: "istio-token".into(),
        }),
        ..VolumeProjection::default()
    };
    let memory = EmptyDirVolumeSource {
        medium: Some("Memory".into()),
        size_limit: None,
    };
    vec![
        Volume {
            empty_dir: Some(memory),
            ..named("istio-envoy")
        },
        Volume {
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..named("istio-data")
        },
        Volume {
            downward_api: Some(DownwardAPIVolumeSource {
                default_mode: None,
                items: Some(vec![
                    label_file("labels", "metadata.labels"),
                    label_file("annotations", "metadata.annotations"),
                ]),
            }),
            ..named("istio-podinfo")
        },
        Volume {
            projected: Some(ProjectedVolumeSource {
                default_mode: None,
                sources: Some(vec![token]),
            }),
            ..named("istio-token")
        },
        Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: "istio-ca-root-cert".into(),
                ..ConfigMapVolumeSource::default()
            }),
            ..named("istiod-ca-cert")
        },
    ]
}

/// The container that redirects the pod's traffic to the proxy before anything else runs.
pub(super) fn init_container(
    image: String,
    pull_policy: String,
    traffic: &Traffic,
    mode: Interception,
    resources: ResourceRequirements,
    metadata: &BTreeMap<String, String>,
) -> Container {
    let mut args: Vec<String> = [
        "istio-iptables",
        "-p",
        "15001",
        "-z",
        "15006",
        "-u",
        "1337",
        "-m",
        mode.name(),
        "-i",
        &traffic.include_ranges,
        "-x",
        &traffic.exclude_ranges,
        "-b",
        &traffic.include_inbound,
        "-d",
    ]
    .map(str::to_owned)
    .into();
    // The proxy's own ports are never redirected.
    args.push(if traffic.exclude_inbound.is_empty() {
        "15090,15021,15020".to_owned()
    } else {
        format!("15090,15021,15020,{}", traffic.exclude_inbound)
    });
    for (flag, value) in [
        ("-q", &traffic.include_outbound),
        ("-o", &traffic.exclude_outbound),
        ("-c", &traffic.exclude_interfaces),
        ("-k", &traffic.machine_interfaces),
    ] {
        if !value.is_empty() {
            args.extend([flag.to_owned(), value.clone()]);
        }
    }
    Container {
        name: INIT_CONTAINER.into(),
        image: Some(image),
        image_pull_policy: Some(pull_policy).filter(|policy| !policy.is_empty()),
        args: Some(args),
        // Whether DNS is redirected is one of these.
        env: (!metadata.is_empty()).then(|| {
            let all = metadata.iter();
            all.map(|(key, value)| env(key, value.as_str())).collect()
        }),
        resources: Some(resources),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: Some(vec!["NET_ADMIN".into(), "NET_RAW".into()]),
                drop: Some(vec!["ALL".into()]),
            }),
            privileged: Some(false),
            read_only_root_filesystem: Some(false),
            run_as_group: Some(0),
            run_as_non_root: Some(false),
            run_as_user: Some(0),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}
