//! Delete: one object or all that are selected; at once, after its finalizers, or when its processes have ended.

use std::sync::Arc;

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::context::Context;
use super::stored::{is_finished, set_or_remove};
use crate::call::Call;
use crate::garbage::CUSTOM_FINALIZER;
use crate::kinds::Kind;
use crate::request::Query;
use crate::response::{self, Answer};
use crate::state::{Api, now};
use crate::status::Status;
use crate::store::{Key, State};
use crate::{admission, follow};

/// What becomes of the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They go after it.
    #[default]
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// How something is deleted.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    pub propagation: Propagation,
    pub grace: Option<u64>,
    pub uid: Option<String>,
    pub version: Option<String>,
    pub dry_run: bool,
}

/// What came of a deletion.
pub enum Deleted {
    /// It is gone.
    Gone,
    /// It will go.
    Going(Arc<Value>),
}

/// Deletes one object.
pub async fn answer(context: &Context<'_>) -> Answer {
    let deletion = Deletion::of(context.call)?;
    let deleted = delete_admitted(context, &context.key(), &deletion).await?;
    let (old, deleted) = deleted.ok_or_else(|| context.not_found())?;
    match deleted {
        Deleted::Going(object) => Ok(context.respond(StatusCode::OK, &object)),
        Deleted::Gone => {
            let kind = context.kind;
            let mut details = json!({
                "name": context.call.path.name(), "kind": kind.plural, "uid": old["metadata"]["uid"],
            });
            if !kind.group.is_empty() {
                details["group"] = json!(kind.group);
            }
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            });
            Ok(response::json(StatusCode::OK, &status))
        }
    }
}

/// Deletes all selected objects of a namespace.
pub async fn collection(context: &Context<'_>) -> Answer {
    let deletion = Deletion::of(context.call)?;
    let selector = context.selector()?;
    let namespace = context.call.path.namespace.as_deref();
    let found: Vec<Key> = {
        let state = context.api.store.lock();
        let found = state.list(&context.table, namespace, None);
        let found = found.filter(|(_, object)| selector.matches(object));
        found.map(|(key, _)| key.clone()).collect()
    };
    let mut objects = Vec::new();
    for key in &found {
        // What is gone meanwhile need not be deleted.
        let deleted = delete_admitted(context, key, &deletion).await?;
        objects.extend(deleted.map(|(old, _)| old));
    }
    let revision = context.api.store.lock().revision();
    let metadata = json!({"resourceVersion": revision.to_string()});
    let objects = objects.iter().map(|object| &**object);
    let list = context.projection().list(metadata, objects, context.now);
    Ok(response::json(StatusCode::OK, &list))
}

/// Deletes an object once webhooks admit it; none when there is no such object.
async fn delete_admitted(
    context: &Context<'_>,
    key: &Key,
    deletion: &Deletion,
) -> Result<Option<(Arc<Value>, Deleted)>, Status> {
    let Context {
        api, kind, table, ..
    } = context;
    let mut admitted: Option<Arc<Value>> = None;
    loop {
        let request = {
            let mut state = api.store.lock();
            let Some(old) = state.get(table, &key.0, &key.1) else {
                return Ok(None);
            };
            let request = admission::Request {
                operation: admission::Operation::Delete,
                served: context.served,
                subresource: "",
                namespace: &key.0,
                name: &key.1,
                namespace_labels: admission::namespace_labels(&state, kind, key, &old),
                user: &context.call.user,
                dry_run: deletion.dry_run,
                old: Some(old.clone()),
            };
            // Who has admitted the deletion of an object has admitted it of its later states.
            let is_same = |one: &Arc<Value>| one["metadata"]["uid"] == old["metadata"]["uid"];
            if admitted.as_ref().is_some_and(is_same)
                || !api.webhooks().concern(&request, &api.kinds())
            {
                let deleted = delete_object(api, &mut state, kind, key, &old, deletion)?;
                return Ok(Some((old, deleted)));
            }
            deletion.check(kind, key, &old)?;
            request
        };
        let warnings = admission::validate(api, &api.webhooks(), &request, None).await?;
        warnings.into_iter().for_each(|text| context.warn(text));
        admitted = request.old;
    }
}

/// Deletes an object that is in the store.
pub fn delete_object(
    api: &Api,
    state: &mut State,
    kind: &Kind,
    key: &Key,
    old: &Arc<Value>,
    deletion: &Deletion,
) -> Result<Deleted, Status> {
    deletion.check(kind, key, old)?;
    let mut new = Value::clone(old);
    let grace = grace(kind, old, deletion.grace);
    mark(kind, &mut new, deletion.propagation, grace);
    if deletion.dry_run {
        return Ok(Deleted::Going(Arc::new(new)));
    }
    if is_finished(&new) {
        let last = state.remove(&kind.id(), key).unwrap_or_default();
        follow::removed(api, state, kind, &last);
        return Ok(Deleted::Gone);
    }
    if new == **old {
        return Ok(Deleted::Going(old.clone()));
    }
    let stored = state.put(&kind.id(), key.clone(), new);
    follow::stored(api, state, kind, &stored);
    Ok(Deleted::Going(stored))
}

/// Writes into an object that it is to go.
fn mark(kind: &Kind, new: &mut Value, propagation: Propagation, grace: u64) {
    let finalizer = match propagation {
        // A definition always takes its objects along.
        _ if kind.is("apiextensions.k8s.io", "customresourcedefinitions") => Some(CUSTOM_FINALIZER),
        Propagation::Background => None,
        Propagation::Foreground => Some("foregroundDeletion"),
        Propagation::Orphan => Some("orphan"),
    };
    let metadata = &mut new["metadata"];
    let first = metadata["deletionTimestamp"].is_null();
    if let (Some(finalizer), true) = (finalizer, first) {
        let mut finalizers = metadata["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if !finalizers.contains(&json!(finalizer)) {
            finalizers.push(json!(finalizer));
        }
        metadata["finalizers"] = json!(finalizers);
    }
    let known = metadata["deletionGracePeriodSeconds"].as_u64();
    if first || known.is_some_and(|known| grace < known) {
        let span = SignedDuration::from_secs(i64::try_from(grace).unwrap_or(i64::MAX));
        let time = now().checked_add(span).unwrap_or_else(|_| now());
        metadata["deletionTimestamp"] = json!(time.to_string());
        metadata["deletionGracePeriodSeconds"] = json!(grace);
    }
    if first && kind.generation {
        let generation = metadata["generation"].as_u64().unwrap_or(0);
        metadata["generation"] = json!(generation + 1);
    }
    if first && kind.is("", "namespaces") {
        new["status"] = json!({"phase": "Terminating"});
    }
}

/// How long the node gets to end a pod's processes; nothing else takes time.
fn grace(kind: &Kind, old: &Value, wanted: Option<u64>) -> u64 {
    if !kind.is("", "pods") {
        return 0;
    }
    let finished = matches!(
        old["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    let scheduled = old["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    if finished || !scheduled {
        return 0;
    }
    let own = old["spec"]["terminationGracePeriodSeconds"].as_u64();
    wanted.or(own).unwrap_or(30)
}

// === impl Deletion ===

impl Deletion {
    /// Reads the options of a request.
    fn of(call: &Call) -> Result<Self, Status> {
        Self::read(&call.optional_object()?, &call.request.query)
    }

    /// Reads the options from a body, or else from the query.
    pub fn read(body: &Value, query: &Query) -> Result<Self, Status> {
        let text = |name: &str| {
            let given = body[name].as_str().or_else(|| query.get(name));
            given.map(str::to_owned)
        };
        let propagation = match text("propagationPolicy").as_deref() {
            None | Some("" | "Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            Some("Orphan") => Propagation::Orphan,
            Some(other) => {
                return Err(Status::unprocessable(format!(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {other:?}: \
                     supported values: \"Foreground\", \"Background\", \"Orphan\""
                )));
            }
        };
        let orphan = body["orphanDependents"].as_bool() == Some(true);
        let precondition = |field: &str| {
            let value = body["preconditions"][field].as_str();
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let all = |values: &Value| {
            values
                .as_array()
                .is_some_and(|values| values.contains(&json!("All")))
        };
        Ok(Self {
            propagation: if orphan {
                Propagation::Orphan
            } else {
                propagation
            },
            grace: match body["gracePeriodSeconds"].as_i64() {
                Some(seconds) => u64::try_from(seconds).ok(),
                None => query.number("gracePeriodSeconds")?,
            },
            uid: precondition("uid"),
            version: precondition("resourceVersion"),
            dry_run: query.dry_run()? || all(&body["dryRun"]),
        })
    }

    fn check(&self, kind: &Kind, key: &Key, old: &Value) -> Result<(), Status> {
        let checks = [
            ("UID", &self.uid, &old["metadata"]["uid"]),
            (
                "ResourceVersion",
                &self.version,
                &old["metadata"]["resourceVersion"],
            ),
        ];
        for (what, wanted, known) in checks {
            if let Some(wanted) = wanted
                && known != wanted
            {
                let why = format!(
                    "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {}",
                    known.as_str().unwrap_or_default()
                );
                return Err(Status::conflict(&kind.group, &kind.plural, &key.1, &why));
            }
        }
        Ok(())
    }
}

/// Takes a finalizer away; true when it was there.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) -> bool {
    let Some(finalizers) = object["metadata"]["finalizers"].as_array() else {
        return false;
    };
    let left: Vec<Value> = finalizers
        .iter()
        .filter(|one| *one != finalizer)
        .cloned()
        .collect();
    let removed = left.len() < finalizers.len();
    let left = if left.is_empty() {
        Value::Null
    } else {
        json!(left)
    };
    set_or_remove(&mut object["metadata"], "finalizers", &left);
    removed
}
