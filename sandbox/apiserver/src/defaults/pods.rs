//! Pods, and templates of pods.

use serde_json::{Map, Value, json};

use super::{elements, fill, section, spec};

/// A pod.
pub fn pod(object: &mut Value) {
    let Some(fields) = spec(object) else { return };
    pod_spec(fields);
    fill(fields, "enableServiceLinks", true);
    fill(fields, "preemptionPolicy", "PreemptLowerPriority");
    fill(fields, "priority", 0);
    fill(fields, "serviceAccountName", "default");
    if let Some(account) = fields.get("serviceAccountName").cloned() {
        fields.insert("serviceAccount".to_owned(), account);
    }
    let class = quality(fields);
    if let Some(fields) = object.as_object_mut()
        && let Some(status) = section(fields, "status")
    {
        fill(status, "phase", "Pending");
        fill(status, "qosClass", class);
    }
}

/// The `template` of a workload.
pub fn template(fields: &mut Map<String, Value>) {
    let Some(template) = section(fields, "template") else {
        return;
    };
    section(template, "metadata");
    if let Some(fields) = section(template, "spec") {
        pod_spec(fields);
    }
}

fn pod_spec(fields: &mut Map<String, Value>) {
    fill(fields, "restartPolicy", "Always");
    fill(fields, "terminationGracePeriodSeconds", 30);
    fill(fields, "dnsPolicy", "ClusterFirst");
    fill(fields, "schedulerName", "default-scheduler");
    section(fields, "securityContext");
    if let Some(account) = fields
        .get("serviceAccount")
        .filter(|name| !name.is_null())
        .cloned()
    {
        fill(fields, "serviceAccountName", account);
    }
    if let Some(account) = fields
        .get("serviceAccountName")
        .filter(|name| !name.is_null())
        .cloned()
    {
        fill(fields, "serviceAccount", account);
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for fields in elements(fields, list) {
            container(fields);
        }
    }
    for fields in elements(fields, "volumes") {
        volume(fields);
    }
    for fields in elements(fields, "topologySpreadConstraints") {
        fill(fields, "nodeAffinityPolicy", "Honor");
        fill(fields, "nodeTaintsPolicy", "Ignore");
    }
}

fn container(fields: &mut Map<String, Value>) {
    let image = fields
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let latest = !tag.contains(':') && !tag.contains('@') || tag.ends_with(":latest");
    let policy = if latest { "Always" } else { "IfNotPresent" };
    fill(fields, "imagePullPolicy", policy);
    section(fields, "resources");
    if let Some(resources) = section(fields, "resources") {
        requests(resources);
    }
    fill(fields, "terminationMessagePath", "/dev/termination-log");
    fill(fields, "terminationMessagePolicy", "File");
    for port in elements(fields, "ports") {
        fill(port, "protocol", "TCP");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(fields) = fields.get_mut(probe).and_then(Value::as_object_mut) {
            self::probe(fields);
        }
    }
    let lifecycle = fields.get_mut("lifecycle").and_then(Value::as_object_mut);
    if let Some(lifecycle) = lifecycle {
        for hook in lifecycle.values_mut().filter_map(Value::as_object_mut) {
            http_get(hook);
        }
    }
    for variable in elements(fields, "env") {
        let from = variable.get_mut("valueFrom");
        let reference = from.and_then(|from| from.get_mut("fieldRef"));
        if let Some(reference) = reference.and_then(Value::as_object_mut) {
            fill(reference, "apiVersion", "v1");
        }
    }
}

/// What is limited and not asked for is asked for up to its limit.
fn requests(resources: &mut Map<String, Value>) {
    let limits = resources.get("limits").and_then(Value::as_object).cloned();
    let Some(limits) = limits.filter(|limits| !limits.is_empty()) else {
        return;
    };
    if let Some(requests) = section(resources, "requests") {
        for (name, limit) in limits {
            fill(requests, &name, limit);
        }
    }
}

fn probe(fields: &mut Map<String, Value>) {
    fill(fields, "timeoutSeconds", 1);
    fill(fields, "periodSeconds", 10);
    fill(fields, "successThreshold", 1);
    fill(fields, "failureThreshold", 3);
    http_get(fields);
    if let Some(grpc) = fields.get_mut("grpc").and_then(Value::as_object_mut) {
        fill(grpc, "service", "");
    }
}

fn http_get(fields: &mut Map<String, Value>) {
    if let Some(get) = fields.get_mut("httpGet").and_then(Value::as_object_mut) {
        fill(get, "path", "/");
        fill(get, "scheme", "HTTP");
    }
}

fn volume(fields: &mut Map<String, Value>) {
    const SOURCES: [&str; 4] = ["configMap", "secret", "projected", "downwardAPI"];
    if fields.len() == 1 {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
    for source in SOURCES {
        if let Some(source) = fields.get_mut(source).and_then(Value::as_object_mut) {
            fill(source, "defaultMode", 0o644);
            for item in elements(source, "items") {
                downward(item);
            }
        }
    }
    if let Some(path) = fields.get_mut("hostPath").and_then(Value::as_object_mut) {
        fill(path, "type", "");
    }
    let projected = fields.get_mut("projected").and_then(Value::as_object_mut);
    let Some(projected) = projected else { return };
    for source in elements(projected, "sources") {
        let token = source.get_mut("serviceAccountToken");
        if let Some(token) = token.and_then(Value::as_object_mut) {
            fill(token, "expirationSeconds", 3600);
        }
        let api = source.get_mut("downwardAPI").and_then(Value::as_object_mut);
        if let Some(api) = api {
            for item in elements(api, "items") {
                downward(item);
            }
        }
    }
}

fn downward(item: &mut Map<String, Value>) {
    let reference = item.get_mut("fieldRef").and_then(Value::as_object_mut);
    if let Some(reference) = reference {
        fill(reference, "apiVersion", "v1");
    }
}

/// The pod's class by what its containers ask for.
fn quality(spec: &Map<String, Value>) -> &'static str {
    let containers = ["containers", "initContainers"].into_iter();
    let containers = containers
        .filter_map(|list| spec.get(list)?.as_array())
        .flatten();
    let (mut any, mut all) = (false, true);
    for container in containers {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (limit, request) = (&resources["limits"][name], &resources["requests"][name]);
            any |= !limit.is_null() || !request.is_null();
            all &= !limit.is_null() && limit == request;
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_says_all_that_it_means() {
        let mut object = json!({"spec": {"containers": [
            {"name": "c", "image": "host:5000/app", "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}}},
        ], "volumes": [{"name": "v"}]}});
        pod(&mut object);
        let container = &object["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["livenessProbe"]["httpGet"]["scheme"], "HTTP");
        assert_eq!(object["spec"]["volumes"][0]["emptyDir"], json!({}));
        assert_eq!(object["spec"]["serviceAccount"], "default");
        assert_eq!(
            object["status"],
            json!({"phase": "Pending", "qosClass": "BestEffort"})
        );
        let once = object.clone();
        pod(&mut object);
        assert_eq!(object, once);
    }
}
