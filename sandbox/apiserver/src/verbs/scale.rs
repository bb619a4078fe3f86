//! The part `scale`: the number of replicas of any kind that has one.

use http::StatusCode;
use http::{Method, Response};
use serde_json::{Value, json};

use super::context::Context;
use super::patch::Form;
use super::write::{Part, Proposal, write};
use crate::body;
use crate::kinds::Scale;
use crate::response::{self, Answer, Body};
use crate::status::{Cause, Status};

/// Reads or writes it.
pub async fn answer(context: &Context<'_>) -> Answer {
    let scale = context
        .kind
        .scale
        .as_ref()
        .ok_or_else(Status::no_resource)?;
    let method = &context.call.request.method;
    if matches!(*method, Method::GET | Method::HEAD) {
        let stored = context.stored(&context.api.store.lock())?;
        return Ok(respond(&describe(scale, &stored)));
    }
    let outcome = write(context, Part::Main, |state| {
        let old = context.stored(state)?;
        let after = wanted(context, describe(scale, &old))?;
        let mut new = Value::clone(&old);
        set(&mut new, &scale.spec, json!(replicas(context, &after)?));
        new["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
        Ok(Proposal::update(context.key(), old, new))
    });
    let outcome = outcome.await?;
    Ok(respond(&describe(scale, outcome.object())))
}

/// The scale that a request asks for.
fn wanted(context: &Context<'_>, before: Value) -> Result<Value, Status> {
    match context.call.request.method {
        Method::PUT => context.call.object(),
        Method::PATCH => {
            let mut after = before;
            let form = Form::of(context)?;
            let patch = match form {
                Form::Apply => body::yaml(&context.call.body)?,
                _ => body::json(&context.call.body)?,
            };
            // A scale has no lists, so a strategic merge is a plain one.
            let form = if form == Form::Strategic {
                Form::Merge
            } else {
                form
            };
            form.apply(context, &mut after, &patch)?;
            Ok(after)
        }
        _ => Err(Status::method_not_allowed()),
    }
}

fn respond(scale: &Value) -> Response<Body> {
    response::json(StatusCode::OK, scale)
}

fn replicas(context: &Context<'_>, scale: &Value) -> Result<u64, Status> {
    let wanted = &scale["spec"]["replicas"];
    let replicas = match wanted {
        Value::Null => Some(0),
        other => other.as_u64().filter(|replicas| *replicas <= 1 << 31),
    };
    replicas.ok_or_else(|| {
        let cause = Cause::invalid(
            "spec.replicas",
            wanted,
            "must be a whole number that is greater than or equal to 0",
        );
        Status::invalid(
            "autoscaling",
            "Scale",
            context.call.path.name(),
            vec![cause],
        )
    })
}

fn describe(scale: &Scale, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut value = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": get(object, &scale.spec).as_u64().unwrap_or(0)},
        "status": {"replicas": get(object, &scale.status).as_u64().unwrap_or(0)},
    });
    let selector = match get(object, &scale.selector) {
        Value::String(text) => text.clone(),
        other => selector_text(other),
    };
    if !selector.is_empty() {
        value["status"]["selector"] = json!(selector);
    }
    value
}

/// A label selector, or plain labels, as text.
fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for term in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = term["key"].as_str().unwrap_or_default();
        let values = term["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        terms.push(match term["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.sort();
    terms.join(",")
}

fn get<'a>(object: &'a Value, path: &[String]) -> &'a Value {
    path.iter()
        .fold(object, |place, part| &place[part.as_str()])
}

fn set(object: &mut Value, path: &[String], value: Value) {
    let mut place = object;
    for part in path {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[part.as_str()];
    }
    *place = value;
}
