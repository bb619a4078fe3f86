//! Watch: changes of objects, as they happen.
//!
//! A watch is a cursor over the history of its table. It takes what is new, tells what concerns it, and waits for the
//! table's next change. Once the history no longer reaches back to its cursor it says so with an event, since clients
//! begin anew on that and on nothing else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::context::Context;
use crate::projection::{Form, Projection};
use crate::response::{self, Answer};
use crate::selector::Selector;
use crate::state::{Api, now};
use crate::status::{Cause, Status};
use crate::store::{Change, Expired, State};

/// How often a client that wants bookmarks gets one when nothing else happens.
const BOOKMARKS: Duration = Duration::from_secs(45);

/// The longest watch; clients come back by themselves.
const LONGEST: Duration = Duration::from_secs(3600);

/// One watch.
struct Watch {
    api: Arc<Api>,
    table: String,
    projection: Projection,
    selector: Selector,
    namespace: Option<String>,
    name: Option<String>,
    bookmarks: bool,
    /// Everything up to this revision has been told.
    cursor: u64,
    changed: watch::Receiver<u64>,
    pending: VecDeque<Bytes>,
    end: Instant,
    bookmark: Instant,
    first: bool,
    over: bool,
}

/// Begins a watch.
pub fn answer(context: &Context<'_>) -> Answer {
    let query = &context.call.request.query;
    let bookmarks = query.flag("allowWatchBookmarks")?;
    let initial = initial_events(context)?;
    let version = query.number("resourceVersion")?.unwrap_or(0);
    let seconds = query
        .number("timeoutSeconds")?
        .filter(|seconds| *seconds > 0);
    let length = seconds.map_or(LONGEST, |seconds| Duration::from_secs(seconds).min(LONGEST));
    let selector = context.selector()?;
    let path = &context.call.path;
    let start = Instant::now();
    let mut state = context.api.store.lock();
    let mut watch = Watch {
        api: context.call.api.clone(),
        table: context.table.clone(),
        projection: context.projection(),
        selector,
        namespace: path.namespace.clone(),
        name: path.name.clone(),
        bookmarks,
        cursor: version,
        changed: state.watch(&context.table),
        pending: VecDeque::new(),
        end: start + length,
        bookmark: start + BOOKMARKS,
        first: true,
        over: false,
    };
    if version > state.revision() {
        // A version of another store, such as an earlier sandbox's: what makes clients begin anew.
        let current = state.revision();
        let status = Status::expired(format!(
            "too large resource version: {version}, current: {current}"
        ));
        watch.tell("ERROR", &status.to_value());
        watch.over = true;
    } else if initial || version == 0 {
        watch.tell_all(&state);
        if bookmarks {
            watch.tell_bookmark(true);
        }
    }
    drop(state);
    Ok(response::stream("application/json", watch.stream()))
}

/// True when the client wants all objects first, and a bookmark after them.
fn initial_events(context: &Context<'_>) -> Result<bool, Status> {
    let query = &context.call.request.query;
    let wanted = query.flag("sendInitialEvents")?;
    let matched = query.get("resourceVersionMatch");
    let fault = |why: &str| {
        let cause = Cause::forbidden("sendInitialEvents", why);
        Err(Status::invalid(
            "meta.k8s.io",
            "ListOptions",
            "",
            vec![cause],
        ))
    };
    match (query.get("sendInitialEvents"), matched) {
        (Some(_), None) => {
            fault("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        }
        (Some(_), Some("NotOlderThan")) => Ok(wanted),
        (None, None) => Ok(false),
        _ => fault(
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    }
}

// === impl Watch ===

impl Watch {
    fn stream(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        futures::stream::unfold(self, |mut watch| async move {
            let bytes = watch.next().await?;
            Some((Ok(bytes), watch))
        })
    }

    /// The next events; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.pending.pop_front() {
                return Some(bytes);
            }
            if self.over {
                return None;
            }
            self.catch_up();
            if self.pending.is_empty() {
                self.wait().await;
            }
        }
    }

    async fn wait(&mut self) {
        let stop = self.api.stop.clone();
        tokio::select! {
            changed = self.changed.changed() => self.over = changed.is_err(),
            () = sleep_until(self.end) => self.over = true,
            () = sleep_until(self.bookmark) => {
                self.bookmark = Instant::now() + BOOKMARKS;
                if self.bookmarks {
                    self.catch_up();
                    self.tell_bookmark(false);
                }
            }
            () = stop.cancelled() => self.over = true,
        }
    }

    /// Takes everything new out of the history.
    fn catch_up(&mut self) {
        self.changed.mark_unchanged();
        let state = self.api.store.lock();
        let changes = state.changes(&self.table, self.cursor);
        let revision = state.revision();
        drop(state);
        match changes {
            Ok(changes) => {
                self.cursor = self.cursor.max(revision);
                for change in &changes {
                    self.tell_change(change);
                }
            }
            Err(Expired { wanted, oldest }) => {
                let status =
                    Status::expired(format!("too old resource version: {wanted} ({oldest})"));
                self.tell("ERROR", &status.to_value());
                self.over = true;
            }
        }
    }

    fn tell_all(&mut self, state: &State) {
        self.cursor = state.revision();
        let namespace = self.namespace.clone();
        let objects = state.list(&self.table, namespace.as_deref(), None);
        let objects: Vec<Arc<Value>> = objects
            .map(|(_, object)| object.clone())
            .filter(|object| self.concerns(object))
            .collect();
        for object in objects {
            self.tell_object("ADDED", &object);
        }
    }

    fn tell_change(&mut self, change: &Change) {
        let before = change.old.as_ref().is_some_and(|old| self.concerns(old));
        let after = !change.deleted && self.concerns(&change.new);
        match (before, after) {
            (false, true) => self.tell_object("ADDED", &change.new),
            (true, true) => self.tell_object("MODIFIED", &change.new),
            (true, false) if change.deleted => self.tell_object("DELETED", &change.new),
            (true, false) => {
                // For this client the object is gone; it gets it as it was when it still saw it.
                let mut last = change.old.as_deref().cloned().unwrap_or_default();
                last["metadata"]["resourceVersion"] = json!(change.revision.to_string());
                self.tell_object("DELETED", &last);
            }
            (false, false) => {}
        }
    }

    fn concerns(&self, object: &Value) -> bool {
        let same = |wanted: &Option<String>, field: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| object["metadata"][field] == wanted)
        };
        same(&self.namespace, "namespace")
            && same(&self.name, "name")
            && self.selector.matches(object)
    }

    fn tell_object(&mut self, kind: &str, object: &Value) {
        let object = self.projection.event(object, now(), self.first);
        self.first = false;
        self.tell(kind, &object);
    }

    fn tell_bookmark(&mut self, initial: bool) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let served = &self.projection.served;
        let mut object = json!({
            "kind": served.kind.kind, "apiVersion": served.api_version(), "metadata": metadata,
        });
        if let Form::Table(_) = self.projection.form {
            object = json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": null,
                "metadata": {"resourceVersion": self.cursor.to_string()},
                "rows": [{"cells": [], "object": {
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                }}],
            });
        }
        self.tell("BOOKMARK", &object);
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        let mut line = json!({"type": kind, "object": object}).to_string();
        line.push('\n');
        self.pending.push_back(Bytes::from(line));
    }
}
