//! What schedulers and drains do with pods: bind them to a node, evict them from it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Extension};
use crate::kinds::Kind;
use crate::response::{Answer, Body, json as answer};
use crate::state::now;
use crate::status::{Cause, Status};
use crate::store::{Key, State};
use crate::verbs::{Deletion, delete_object, finish};

pub const ROWS: &[Extension] = &[
    row("pods", "binding", bind),
    row("bindings", "", bind),
    row("pods", "eviction", evict),
];

const fn row(
    resource: &'static str,
    subresource: &'static str,
    handle: fn(Call) -> BoxFuture<'static, Answer>,
) -> Extension {
    Extension {
        group: "",
        resource,
        subresource,
        methods: &["POST"],
        handle,
    }
}

fn bind(call: Call) -> BoxFuture<'static, Answer> {
    std::future::ready(bound(&call)).boxed()
}

fn bound(call: &Call) -> Answer {
    let binding = call.object()?;
    let name = call
        .path
        .name
        .as_deref()
        .or_else(|| binding["metadata"]["name"].as_str());
    let name = name.unwrap_or_default();
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        let cause = Cause::required("target.name", "");
        return Err(Status::invalid("", "Binding", name, vec![cause]));
    }
    let key = (call.path.namespace().to_owned(), name.to_owned());
    let mut state = call.api.store.lock();
    let old = pod(&state, &key)?;
    let fault = |why: &str| Err(Status::conflict("", "pods", name, why));
    if !old["metadata"]["deletionTimestamp"].is_null() {
        return fault(&format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    let present = old["spec"]["nodeName"].as_str().unwrap_or_default();
    if !present.is_empty() {
        return fault(&format!(
            "pod {name} is already assigned to node {present:?}"
        ));
    }
    let mut new = Value::clone(&old);
    new["spec"]["nodeName"] = json!(node);
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now().to_string(),
    });
    let conditions = new["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let others = conditions
        .into_iter()
        .filter(|condition| condition["type"] != "PodScheduled");
    new["status"]["conditions"] = others.chain([condition]).collect();
    if !call.request.query.dry_run()? {
        finish(&call.api, &mut state, kind(call)?.as_ref(), &key, new);
    }
    drop(state);
    Ok(success())
}

fn evict(call: Call) -> BoxFuture<'static, Answer> {
    std::future::ready(evicted(&call)).boxed()
}

fn evicted(call: &Call) -> Answer {
    let eviction = call.optional_object()?;
    let deletion = Deletion::read(&eviction["deleteOptions"], &call.request.query)?;
    let key = (
        call.path.namespace().to_owned(),
        call.path.name().to_owned(),
    );
    let mut state = call.api.store.lock();
    let old = pod(&state, &key)?;
    delete_object(
        &call.api,
        &mut state,
        kind(call)?.as_ref(),
        &key,
        &old,
        &deletion,
    )?;
    drop(state);
    Ok(success())
}

fn pod(state: &State, (namespace, name): &Key) -> Result<Arc<Value>, Status> {
    let pod = state.get("pods", namespace, name);
    pod.ok_or_else(|| Status::not_found("", "pods", name))
}

fn kind(call: &Call) -> Result<Arc<Kind>, Status> {
    let served = call.api.kind("", "pods");
    Ok(served.ok_or_else(Status::no_resource)?.kind)
}

fn success() -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    answer(StatusCode::CREATED, &status)
}
