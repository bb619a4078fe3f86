//! The node's own object.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::container::now;
use crate::controllers::NODE_NAME;

const PODS: u32 = 1000;

/// CPUs and bytes of memory of this machine; what cannot be found out counts as 1 CPU and 1 GiB.
pub fn machine() -> (u64, u64) {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    (cpus, kib.map_or(1 << 30, |kib| kib << 10))
}

/// Creates or refreshes the `Node` object: ready, with this machine's capacity.
pub async fn register(client: &Client, address: Ipv4Addr) -> Result<(), kube::Error> {
    let api: Api<Node> = Api::all(client.clone());
    let params = PatchParams::apply(crate::controllers::FIELD_MANAGER).force();
    let labels = json!({
        "kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": std::env::consts::OS,
        "kubernetes.io/arch": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
    });
    let identity = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME, "labels": labels}});
    api.patch(NODE_NAME, &params, &Patch::Apply(&identity))
        .await?;
    let (cpus, memory) = machine();
    let resources = json!({"cpu": cpus.to_string(), "memory": format!("{}Ki", memory >> 10), "pods": PODS.to_string()});
    let time = now().to_string();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
               "lastHeartbeatTime": time, "lastTransitionTime": time})
    };
    let status = json!({"status": {
        "capacity": resources, "allocatable": resources,
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": NODE_NAME}],
        "conditions": [
            condition("Ready", "True", "SandboxReady", "the sandbox runs pods as local processes"),
            condition("MemoryPressure", "False", "SandboxReady", "not measured"),
            condition("DiskPressure", "False", "SandboxReady", "not measured"),
            condition("PIDPressure", "False", "SandboxReady", "not measured"),
        ],
        "nodeInfo": {
            "kubeletVersion": concat!("meshctl-", env!("CARGO_PKG_VERSION")), "operatingSystem": std::env::consts::OS,
            "architecture": std::env::consts::ARCH, "osImage": "meshctl sandbox", "containerRuntimeVersion": "process://1",
            "kernelVersion": "", "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "",
        },
    }});
    api.patch_status(NODE_NAME, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(())
}
