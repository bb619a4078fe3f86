//! Tables as kubectl prints them: each layout with the cells of an object.

use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:02:30Z".parse().unwrap()
}

/// The always visible cells of one object, as texts with bars between.
fn row(group: &str, plural: &str, mut object: Value) -> String {
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let request = Request {
        group,
        plural,
        custom: None,
        include: Include::None,
        now: now(),
        with_columns: true,
    };
    let table = table(&request, json!({}), &[object]);
    let columns = table["columnDefinitions"].as_array().unwrap();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(columns.len(), cells.len());
    let shown = columns
        .iter()
        .zip(cells)
        .filter(|(column, _)| column["priority"] == 0);
    let texts: Vec<String> = shown.map(|(_, cell)| path::plain(cell)).collect();
    texts.join("|")
}

fn pod(containers: Value) -> Value {
    let names = containers.as_array().unwrap().iter();
    let spec: Vec<Value> = names
        .map(|status| json!({"name": status["name"]}))
        .collect();
    json!({
        "metadata": {"name": "p"}, "spec": {"containers": spec},
        "status": {"phase": "Running", "containerStatuses": containers},
    })
}

#[test]
fn every_layout_has_as_many_cells_as_columns() {
    for layout in LAYOUTS.iter().copied().flatten() {
        row(layout.group, layout.plural, json!({}));
    }
}

#[test]
fn pods_say_what_kubectl_says() {
    let running = |ready: bool| json!({"name": "a", "ready": ready, "state": {"running": {}}});
    let show = |pod: Value| row("", "pods", pod);
    assert_eq!(show(pod(json!([running(true)]))), "p|1/1|Running|0|2m30s");
    assert_eq!(
        show(pod(json!([running(true), running(false)]))),
        "p|1/2|Running|0|2m30s"
    );
    let crashed = json!({"name": "a", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T00:02:00Z"}}});
    assert_eq!(
        show(pod(json!([crashed]))),
        "p|0/1|CrashLoopBackOff|3 (30s ago)|2m30s"
    );
    let ended = |signal: i64| json!({"name": "a", "state": {"terminated": {"exitCode": 3, "signal": signal}}});
    assert_eq!(show(pod(json!([ended(0)]))), "p|0/1|ExitCode:3|0|2m30s");
    assert_eq!(show(pod(json!([ended(9)]))), "p|0/1|Signal:9|0|2m30s");
    let mut deleted = pod(json!([running(true)]));
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(show(deleted), "p|1/1|Terminating|0|2m30s");
}

#[test]
fn init_containers_and_native_sidecars_count() {
    let mut object =
        pod(json!([{"name": "a", "state": {"waiting": {"reason": "PodInitializing"}}}]));
    object["status"]["phase"] = json!("Pending");
    object["spec"]["initContainers"] =
        json!([{"name": "proxy", "restartPolicy": "Always"}, {"name": "setup"}]);
    object["status"]["initContainerStatuses"] = json!([
        {"name": "proxy", "started": true, "ready": true, "state": {"running": {}}},
        {"name": "setup", "state": {"running": {}}},
    ]);
    assert_eq!(row("", "pods", object.clone()), "p|1/2|Init:1/2|0|2m30s");
    object["status"]["initContainerStatuses"][1]["state"] =
        json!({"waiting": {"reason": "ImageNotRunnable"}});
    assert_eq!(
        row("", "pods", object),
        "p|1/2|Init:ImageNotRunnable|0|2m30s"
    );
}

#[test]
fn workloads_and_services() {
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 3},
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}});
    assert_eq!(row("apps", "deployments", deployment), "d|2/3|3|1|2m30s");
    let service = json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "clusterIP": "127.1.128.1",
        "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]}});
    assert_eq!(
        row("", "services", service),
        "s|LoadBalancer|127.1.128.1|<pending>|80:30080/TCP,53/UDP|2m30s"
    );
    let addresses: Vec<Value> = (1..=4)
        .map(|n| json!({"ip": format!("127.1.1.{n}")}))
        .collect();
    let endpoints = json!({"metadata": {"name": "e"}, "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    assert_eq!(
        row("", "endpoints", endpoints),
        "e|127.1.1.1:80,127.1.1.2:80,127.1.1.3:80 + 1 more...|2m30s"
    );
    let event = json!({"metadata": {"name": "x"}, "type": "Warning", "reason": "BackOff", "message": "m\n",
        "involvedObject": {"kind": "Pod", "name": "p"}, "lastTimestamp": "2026-01-01T00:02:00Z"});
    assert_eq!(row("", "events", event), "30s|Warning|BackOff|pod/p|m");
}

#[test]
fn custom_resources_have_their_own_columns() {
    let version = json!({"additionalPrinterColumns": [
        {"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts"},
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]});
    let columns = printer_columns(&version);
    let mut request = Request {
        group: "x.io",
        plural: "things",
        custom: Some(&columns),
        include: Include::Metadata,
        now: now(),
        with_columns: false,
    };
    let object = json!({"metadata": {"name": "t", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"hosts": ["a"], "size": 3}});
    let shown = table(&request, json!({}), std::slice::from_ref(&object));
    assert_eq!(
        shown["rows"][0]["cells"],
        json!(["t", r#"["a"]"#, 3, "2m30s"])
    );
    assert_eq!(shown["columnDefinitions"], Value::Null);
    assert_eq!(shown["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    request.custom = Some(&[]);
    let plain = table(&request, json!({}), &[object]);
    assert_eq!(plain["rows"][0]["cells"], json!(["t", "2m30s"]));
}
