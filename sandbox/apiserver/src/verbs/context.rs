//! What all verbs need to know about a request, read once.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::call::Call;
use crate::kinds::{Kind, Served};
use crate::projection::{Form, Projection};
use crate::response::{self, Body};
use crate::selector::Selector;
use crate::state::{Api, now};
use crate::status::Status;
use crate::store::{Key, State};

/// What happens with fields that a kind does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// One request about one kind.
pub struct Context<'a> {
    pub call: &'a Call,
    pub api: &'a Api,
    pub served: &'a Served,
    pub kind: &'a Kind,
    /// The name of the kind's table in the store.
    pub table: String,
    pub dry_run: bool,
    pub level: Level,
    /// Who owns the fields that are written.
    pub manager: String,
    pub now: Timestamp,
    warnings: Mutex<Vec<String>>,
}

// === impl Context ===

impl<'a> Context<'a> {
    /// Reads the options of a request.
    pub fn new(call: &'a Call, served: &'a Served) -> Result<Self, Status> {
        let query = &call.request.query;
        let level = match query.get("fieldValidation") {
            None | Some("Warn") => Level::Warn,
            Some("Ignore") => Level::Ignore,
            Some("Strict") => Level::Strict,
            Some(other) => {
                return Err(Status::bad_request(format!(
                    "invalid value {other:?} of query parameter \"fieldValidation\": use Ignore, Warn or Strict"
                )));
            }
        };
        let agent = call
            .request
            .user_agent
            .split('/')
            .next()
            .unwrap_or_default();
        let agent = if agent.is_empty() { "unknown" } else { agent };
        let manager = query.get("fieldManager").unwrap_or(agent);
        Ok(Self {
            call,
            api: &call.api,
            served,
            kind: &served.kind,
            table: served.kind.id(),
            dry_run: query.dry_run()?,
            level,
            manager: manager.to_owned(),
            now: now(),
            warnings: Mutex::default(),
        })
    }

    /// Where the object of the request lies.
    pub fn key(&self) -> Key {
        let path = &self.call.path;
        (path.namespace().to_owned(), path.name().to_owned())
    }

    /// The object of the request.
    pub fn stored(&self, state: &State) -> Result<Arc<Value>, Status> {
        let (namespace, name) = self.key();
        let stored = state.get(&self.table, &namespace, &name);
        stored.ok_or_else(|| self.not_found())
    }

    /// The object of the request is not there.
    pub fn not_found(&self) -> Status {
        Status::not_found(&self.kind.group, &self.kind.plural, self.call.path.name())
    }

    /// What the request selects.
    pub fn selector(&self) -> Result<Selector, Status> {
        let query = &self.call.request.query;
        let extra = self.served.custom().map(|custom| custom.selectable.clone());
        Selector::parse(
            query.get("labelSelector").unwrap_or_default(),
            query.get("fieldSelector").unwrap_or_default(),
            &self.table,
            &extra.unwrap_or_default(),
        )
    }

    /// The form in which the client wants objects.
    pub fn projection(&self) -> Projection {
        Projection {
            form: Form::of(&self.call.request),
            served: self.served.clone(),
        }
    }

    /// Tells the client something that does not stop its request.
    pub fn warn(&self, warning: String) {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(warning);
    }

    /// Answers with an object.
    pub fn respond(&self, code: StatusCode, object: &Value) -> Response<Body> {
        let mut response = response::json(code, &self.projection().object(object, self.now));
        let warnings = self.warnings.lock();
        response::warn(
            &mut response,
            &warnings.unwrap_or_else(PoisonError::into_inner),
        );
        response
    }
}
