//! The one path into the store: whatever a verb made, it becomes a stored object here.
//!
//! ```text
//! proposal -> prepare:  identity kept -> status | rest kept -> known fields -> defaults, token
//!          -> mutating webhooks -> defaults, token
//!          -> complete: addresses -> rules -> generation -> owners of fields
//!          -> validating webhooks
//!          -> keep:     unchanged? dry run? last finalizer gone? -> store -> what follows from it
//! ```

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::context::{Context, Level};
use super::create::check_namespace;
use super::stored::{begin, count_generation, finish, set_or_remove};
use crate::fields::{self, Owner};
use crate::rules;
use crate::status::Status;
use crate::store::{Key, State};
use crate::{admission, authorization, defaults, shape};

/// How often a verb proposes anew when its object changes while webhooks are asked.
const ATTEMPTS: usize = 5;

/// What clients do not change of an object that is there.
const IDENTITY: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
];

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
    /// It is new.
    Created(Arc<Value>),
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

/// What a verb wants to have stored.
pub struct Proposal {
    pub key: Key,
    /// The object before; none for a new one.
    pub old: Option<Arc<Value>>,
    /// The object after, in the stored version of its kind.
    pub new: Value,
    pub owners: Owners,
    /// True for server-side apply, which never takes unknown fields.
    pub strict: bool,
    /// True when the name is made up.
    pub is_named_here: bool,
}

/// One write.
struct Write<'a> {
    context: &'a Context<'a>,
    part: Part,
    key: Key,
    old: Option<Arc<Value>>,
    owners: Owners,
    strict: bool,
    is_named_here: bool,
}

/// Brings into the store what a verb proposes about its present state, once webhooks admit it. They are asked without the lock;
/// if the object was changed meanwhile, the verb proposes anew.
pub async fn write(
    context: &Context<'_>,
    part: Part,
    propose: impl Fn(&State) -> Result<Proposal, Status>,
) -> Result<Outcome, Status> {
    let api = context.api;
    for _ in 0..ATTEMPTS {
        let (webhooks, kinds) = (api.webhooks(), api.kinds());
        let (write, namespace_labels, prepared) = {
            let mut state = api.store.lock();
            let (write, new) = Write::of(context, part, propose(&state)?);
            let prepared = write.prepare(&state, new)?;
            let labels = write.namespace_labels(&state, &prepared);
            if !webhooks.concern(&write.request(labels.clone()), &kinds) {
                let completed = write.complete(&state, prepared, None)?;
                return write.keep(&mut state, completed);
            }
            (write, labels, prepared)
        };
        let request = write.request(namespace_labels);
        let shown = write.shown(&prepared);
        let (admitted, warnings) =
            admission::mutate(api, &webhooks, &request, shown.clone()).await?;
        warnings.into_iter().for_each(|text| context.warn(text));
        let completed = {
            let state = api.store.lock();
            if !write.is_current(&state)? {
                continue;
            }
            if admitted == shown {
                write.complete(&state, prepared, None)?
            } else {
                let object = write.readmit(&state, &prepared, admitted)?;
                write.complete(&state, object, Some(prepared))?
            }
        };
        let shown = write.shown(&completed);
        let warnings = admission::validate(api, &webhooks, &request, Some(&shown)).await?;
        warnings.into_iter().for_each(|text| context.warn(text));
        let mut state = api.store.lock();
        if write.is_current(&state)? {
            return write.keep(&mut state, completed);
        }
    }
    Err(Status::modified(
        &context.kind.group,
        &context.kind.plural,
        context.call.path.name(),
    ))
}

// === impl Outcome ===

impl Outcome {
    /// The object in any case.
    pub fn object(&self) -> &Arc<Value> {
        match self {
            Self::Stored(object)
            | Self::Created(object)
            | Self::Unchanged(object)
            | Self::Removed(object) => object,
        }
    }

    /// The code of the answer.
    pub fn code(&self) -> StatusCode {
        match self {
            Self::Created(_) => StatusCode::CREATED,
            _ => StatusCode::OK,
        }
    }
}

// === impl Proposal ===

impl Proposal {
    /// An object in the place of the one that is there.
    pub fn update(key: Key, old: Arc<Value>, new: Value) -> Self {
        Self {
            key,
            old: Some(old),
            new,
            owners: Owners::Update,
            strict: false,
            is_named_here: false,
        }
    }
}

// === impl Write ===

impl<'a> Write<'a> {
    fn of(context: &'a Context<'a>, part: Part, proposal: Proposal) -> (Self, Value) {
        let Proposal {
            key,
            old,
            new,
            owners,
            strict,
            is_named_here,
        } = proposal;
        let write = Self {
            context,
            part,
            key,
            old,
            owners,
            strict,
            is_named_here,
        };
        (write, new)
    }

    /// The object as it goes to webhooks: with its identity and defaults, and without what its kind does not know.
    fn prepare(&self, state: &State, mut new: Value) -> Result<Value, Status> {
        let context = self.context;
        if !new["metadata"].is_object() {
            return Err(Status::bad_request("the object has no metadata"));
        }
        match &self.old {
            Some(old) => {
                self.keep_identity(old, &mut new)?;
                self.keep_other_part(old, &mut new);
            }
            None => begin(context, &mut new),
        }
        let mut new = self.known(new)?;
        self.admit(state, &mut new)?;
        Ok(new)
    }

    /// Defaults, and what a cluster adds to a new object by itself.
    fn admit(&self, state: &State, new: &mut Value) -> Result<(), Status> {
        let kind = self.context.kind;
        defaults::apply(kind, new, self.old.as_deref());
        if self.old.is_none() && kind.is("", "pods") {
            admission::mount_token(state, &self.key.0, new)?;
            defaults::apply(kind, new, None);
        }
        Ok(())
    }

    /// The object as webhooks have left it: they do not change who it is, nor the part that is not written.
    fn readmit(&self, state: &State, before: &Value, after: Value) -> Result<Value, Status> {
        let (mut new, _) = shape::known(self.context.served, after)?;
        for field in IDENTITY.iter().chain(&["managedFields"]) {
            set_or_remove(&mut new["metadata"], field, &before["metadata"][*field]);
        }
        match self.part {
            Part::Main if self.context.kind.status => {
                set_or_remove(&mut new, "status", &before["status"]);
            }
            Part::Main => {}
            Part::Status => {
                let mut whole = before.clone();
                set_or_remove(&mut whole, "status", &new["status"]);
                new = whole;
            }
        }
        self.admit(state, &mut new)?;
        Ok(new)
    }

    /// The object as it is to be stored. `before` is how it was before webhooks changed it.
    fn complete(
        &self,
        state: &State,
        mut new: Value,
        before: Option<Value>,
    ) -> Result<Value, Status> {
        let context = self.context;
        let old = self.old.as_deref();
        defaults::allocate(context.api, context.kind, state, &self.key, &mut new)?;
        rules::check(context.served, &new, old, self.part == Part::Status)?;
        authorization::check_escalation(state, &context.call.user, context.kind, &new, old)?;
        count_generation(context, old, &mut new);
        self.settle_owners(before, &mut new);
        Ok(new)
    }

    fn keep(&self, state: &mut State, new: Value) -> Result<Outcome, Status> {
        let context = self.context;
        if let Some(old) = &self.old
            && **old == new
        {
            return Ok(Outcome::Unchanged(old.clone()));
        }
        let outcome = if context.dry_run {
            Outcome::Stored(Arc::new(new))
        } else {
            finish(context.api, state, context.kind, &self.key, new)
        };
        Ok(match outcome {
            Outcome::Stored(object) if self.old.is_none() => Outcome::Created(object),
            outcome => outcome,
        })
    }

    /// Whether the object is still the one that the proposal is about.
    fn is_current(&self, state: &State) -> Result<bool, Status> {
        let present = state.get(&self.context.table, &self.key.0, &self.key.1);
        match (&self.old, &present) {
            (None, None) => check_namespace(self.context, state).map(|()| true),
            (Some(old), Some(present)) => Ok(Arc::ptr_eq(old, present)),
            _ => Ok(false),
        }
    }

    fn request(&self, namespace_labels: Value) -> admission::Request<'_> {
        let context = self.context;
        admission::Request {
            operation: match self.old {
                Some(_) => admission::Operation::Update,
                None => admission::Operation::Create,
            },
            served: context.served,
            subresource: match self.part {
                Part::Main => "",
                Part::Status => "status",
            },
            namespace: &self.key.0,
            name: if self.is_named_here { "" } else { &self.key.1 },
            namespace_labels,
            user: &context.call.user,
            dry_run: context.dry_run,
            old: self.old.clone(),
        }
    }

    fn namespace_labels(&self, state: &State, new: &Value) -> Value {
        admission::namespace_labels(state, self.context.kind, &self.key, new)
    }

    /// The object as webhooks see it: a new one has no identity yet.
    fn shown(&self, object: &Value) -> Value {
        let mut shown = object.clone();
        if self.old.is_none() {
            let hidden = ["uid", "creationTimestamp", "generation", "managedFields"];
            let name = self.is_named_here.then_some("name");
            for field in hidden.into_iter().chain(name) {
                set_or_remove(&mut shown["metadata"], field, &Value::Null);
            }
        }
        shown
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
        for field in IDENTITY {
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
            status.reason = "".into();
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

    /// What webhooks have changed belongs to who wrote, as if he had.
    fn settle_owners(&self, before: Option<Value>, new: &mut Value) {
        let context = self.context;
        let owner = Owner {
            manager: &context.manager,
            api_version: &context.served.api_version(),
            subresource: match self.part {
                Part::Main => "",
                Part::Status => "status",
            },
            time: &context.now.to_string(),
        };
        let shape = shape::root(context.served);
        match &self.owners {
            Owners::Settled(entries) => {
                set_or_remove(&mut new["metadata"], "managedFields", entries);
                if let Some(before) = before {
                    fields::update(shape, &owner, Some(&before), new);
                }
            }
            Owners::Update => fields::update(shape, &owner, self.old.as_deref(), new),
        }
    }
}
