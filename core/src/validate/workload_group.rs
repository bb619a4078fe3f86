//! `WorkloadGroup`.

use super::common::labels;
use super::{At, Violations};
use crate::model::{ReadinessProbe, WorkloadGroupSpec};

pub(crate) fn check(object: &WorkloadGroupSpec, at: &At<'_>, violations: &mut Violations) {
    let WorkloadGroupSpec {
        metadata,
        template,
        probe,
    } = object;
    if let Some(metadata) = metadata {
        let at = at.key("metadata");
        labels(&metadata.labels, &at.key("labels"), violations);
    }
    if let Some(template) = template {
        let at = at.key("template");
        labels(&template.labels, &at.key("labels"), violations);
    }
    if let Some(probe) = probe {
        let ReadinessProbe {
            http_get,
            tcp_socket,
            exec,
            grpc,
            ..
        } = probe;
        if http_get.is_none() && tcp_socket.is_none() && exec.is_none() && grpc.is_none() {
            let message = "a probe needs httpGet, tcpSocket, exec or grpc";
            violations.add(&at.key("probe"), message);
        }
        let headers = http_get.iter().flat_map(|get| &get.http_headers);
        for (position, header) in headers.enumerate() {
            if header.name.is_empty() {
                let at = at.key("probe");
                let at = at.key("httpGet");
                let at = at.key("httpHeaders");
                let at = at.index(position);
                violations.add(&at.key("name"), "the name of a header is missing");
            }
        }
    }
}
