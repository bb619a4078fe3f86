//! The one path into the store: whatever a verb made, it becomes a stored object here.
//!
//! ```text
//! new object -> identity kept -> status | rest kept -> known fields -> defaults -> admission -> rules -> generation
//!            -> owners of fields -> unchanged? dry run? last finalizer gone? -> store -> what follows from it
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use super::context::{Context, Level};
use crate::api::fields::{self, Owner};
use crate::api::kinds::Kind;
use crate::api::rules;
use crate::api::state::Api;
use crate::api::status::Status;
use crate::api::store::{Key, State};
use crate::api::{admit, defaults, follow, shape};

/// Which part of an object is written; the other one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Main,
    Status,
}

/// What came of a write.
#[derive(Clone, Debug)]
pub enum Outcome {
    Stored(Arc<Value>),
    /// It was like that already.
    Unchanged(Arc<Value>),
    /// It was only waited for this to be removed.
    Removed(Arc<Value>),
}

/// How the owners of fields follow from a write.
pub enum Owners {
    /// Who changes a field owns it.
    Update,
    /// They were settled when the object was merged: the value of `managedFields`.
    Settled(Value),
}

/// One write.
pub struct Write<'a> {
    pub context: &'a Context<'a>,
    pub part: Part,
    pub owners: Owners,
    /// True for server-side apply, which never takes unknown fields.
    pub strict: bool,
}

// === impl Outcome ===

impl Outcome {
    /// The object in any case.
    pub fn object(&self) -> &Arc<Value> {
        match self {
            Self::Stored(object) | Self::Unchanged(object) | Self::Removed(object) => object,
        }
    }
}

// === impl Write ===

impl Write<'_> {
    /// Brings an object into the store. It is in the stored version of its kind.
    pub fn store(
        self,
        state: &mut State,
        key: Key,
        old: Option<&Arc<Value>>,
        mut new: Value,
    ) -> Result<Outcome, Status> {
        let context = self.context;
        if !new["metadata"].is_object() {
            return Err(Status::bad_request("the object has no metadata"));
        }
        match old {
            Some(old) => {
                self.keep_identity(old, &mut new)?;
                self.keep_other_part(old, &mut new);
            }
            None => begin(context, &mut new),
        }
        let mut new = self.known(new)?;
        defaults::apply(context.kind, &mut new, old.map(|old| &**old));
        if old.is_none() {
            admit::create(context, state, &mut new)?;
            defaults::apply(context.kind, &mut new, None);
        }
        defaults::allocate(context.api, context.kind, state, &key, &mut new)?;
        let status_only = self.part == Part::Status;
        let warnings = rules::check(context.served, &new, old.map(|old| &**old), status_only)?;
        warnings
            .into_iter()
            .for_each(|warning| context.warn(warning));
        count_generation(context, old.map(|old| &**old), &mut new);
        self.settle_owners(old.map(|old| &**old), &mut new);
        self.keep(state, key, old, new)
    }

    fn keep(
        self,
        state: &mut State,
        key: Key,
        old: Option<&Arc<Value>>,
        new: Value,
    ) -> Result<Outcome, Status> {
        let context = self.context;
        if let Some(old) = old
            && **old == new
        {
            return Ok(Outcome::Unchanged(old.clone()));
        }
        if context.dry_run {
            return Ok(Outcome::Stored(Arc::new(new)));
        }
        Ok(finish(context.api, state, context.kind, &key, new))
    }

    /// What no client may change, and what must not have changed since it looked.
    fn keep_identity(&self, old: &Value, new: &mut Value) -> Result<(), Status> {
        let kind = self.context.kind;
        let name = old["metadata"]["name"].as_str().unwrap_or_default();
        let before = &old["metadata"];
        let after = &mut new["metadata"];
        let uid = after["uid"].as_str().unwrap_or_default();
        if !uid.is_empty() && before["uid"] != uid {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                before["uid"].as_str().unwrap_or_default()
            );
            return Err(Status::conflict(&kind.group, &kind.plural, name, &why));
        }
        let version = after["resourceVersion"].as_str().unwrap_or_default();
        if !matches!(version, "" | "0") && before["resourceVersion"] != version {
            return Err(Status::modified(&kind.group, &kind.plural, name));
        }
        for field in [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generateName",
        ] {
            set_or_remove(after, field, &before[field]);
        }
        match &after["managedFields"] {
            Value::Null => set_or_remove(after, "managedFields", &before["managedFields"]),
            // An empty list asks to forget all owners.
            Value::Array(entries)
                if entries
                    .iter()
                    .all(|entry| entry.as_object().is_none_or(serde_json::Map::is_empty)) =>
            {
                set_or_remove(after, "managedFields", &Value::Null);
            }
            _ => {}
        }
        set_or_remove(after, "selfLink", &Value::Null);
        Ok(())
    }

    fn keep_other_part(&self, old: &Value, new: &mut Value) {
        match self.part {
            Part::Main if self.context.kind.status => set_or_remove(new, "status", &old["status"]),
            Part::Main => {}
            Part::Status => {
                let mut whole = old.clone();
                set_or_remove(&mut whole, "status", &new["status"]);
                let entries = new["metadata"]["managedFields"].take();
                set_or_remove(&mut whole["metadata"], "managedFields", &entries);
                if !self.context.kind.is_custom() {
                    let annotations = new["metadata"]["annotations"].take();
                    set_or_remove(&mut whole["metadata"], "annotations", &annotations);
                }
                *new = whole;
            }
        }
    }

    /// The object without fields that its kind does not have; the client is told about them.
    fn known(&self, new: Value) -> Result<Value, Status> {
        let context = self.context;
        let served = context.served;
        let (known, unknown) = shape::known(served, new)?;
        if unknown.is_empty() {
            return Ok(known);
        }
        let kind = &served.kind.kind;
        if self.strict {
            let list: Vec<String> = unknown
                .iter()
                .map(|path| format!(".{path}: field not declared in schema"))
                .collect();
            let mut status = Status::internal(format!(
                "failed to create typed patch object ({}; {}, Kind={kind}): {}",
                context.call.path.name(),
                served.api_version(),
                list.join(", ")
            ));
            status.reason = "";
            return Err(status);
        }
        let told = unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\""));
        match context.level {
            Level::Ignore => {}
            Level::Warn => told.for_each(|warning| context.warn(warning)),
            Level::Strict => {
                let told: Vec<String> = told.collect();
                return Err(Status::bad_request(format!(
                    "{kind} in version {:?} cannot be handled as a {kind}: strict decoding error: {}",
                    served.version,
                    told.join(", ")
                )));
            }
        }
        Ok(known)
    }

    fn settle_owners(&self, old: Option<&Value>, new: &mut Value) {
        match &self.owners {
            Owners::Settled(entries) => {
                set_or_remove(&mut new["metadata"], "managedFields", entries);
            }
            Owners::Update => {
                let context = self.context;
                let subresource = match self.part {
                    Part::Main => "",
                    Part::Status => "status",
                };
                let owner = Owner {
                    manager: &context.manager,
                    api_version: &context.served.api_version(),
                    subresource,
                    time: &context.now.to_string(),
                };
                fields::update(shape::root(context.served), &owner, old, new);
            }
        }
    }
}

/// Stores an object, or removes it when this was all that it waited for.
pub fn finish(api: &Api, state: &mut State, kind: &Kind, key: &Key, new: Value) -> Outcome {
    let table = kind.id();
    let finished = is_finished(&new);
    let stored = state.put(&table, key.clone(), new);
    if finished {
        let last = state.remove(&table, key).unwrap_or(stored);
        follow::removed(api, state, kind, &last);
        return Outcome::Removed(last);
    }
    follow::stored(api, state, kind, &stored);
    Outcome::Stored(stored)
}

/// Sets a field, or removes it for null.
pub fn set_or_remove(object: &mut Value, field: &str, value: &Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if value.is_null() {
        fields.shift_remove(field);
    } else {
        fields.insert(field.to_owned(), value.clone());
    }
}

/// Identity of a new object.
fn begin(context: &Context<'_>, new: &mut Value) {
    let metadata = &mut new["metadata"];
    for field in [
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "managedFields",
    ] {
        set_or_remove(metadata, field, &Value::Null);
    }
    metadata["uid"] = json!(crate::api::metadata::uid());
    metadata["creationTimestamp"] = json!(context.now.to_string());
    if context.kind.status {
        set_or_remove(new, "status", &Value::Null);
    }
}

/// Generations count changes of what is wanted, not of what is.
fn count_generation(context: &Context<'_>, old: Option<&Value>, new: &mut Value) {
    if !context.kind.generation {
        return;
    }
    let Some(old) = old else {
        new["metadata"]["generation"] = json!(1);
        return;
    };
    let wanted = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, value)| {
            !matches!(name.as_str(), "metadata" | "status" | "apiVersion" | "kind")
                && !value.is_null()
        });
        let mut fields: Vec<_> = fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        fields
    };
    if wanted(old) != wanted(new) {
        let before = old["metadata"]["generation"].as_u64().unwrap_or(0);
        new["metadata"]["generation"] = json!(before + 1);
    }
}

/// True for an object that is being deleted and that nothing holds any more.
pub fn is_finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let waits = metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or(0) > 0;
    let is_namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    !metadata["deletionTimestamp"].is_null()
        && none(&metadata["finalizers"])
        && !waits
        && (!is_namespace || none(&object["spec"]["finalizers"]))
}
