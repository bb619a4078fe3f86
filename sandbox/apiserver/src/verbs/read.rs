//! Get and list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::context::Context;
use crate::response::{self, Answer};
use crate::status::Status;
use crate::store::{Key, State};

/// Where a list goes on.
#[derive(serde::Serialize, serde::Deserialize)]
struct Continue {
    /// The revision of the first part: a watch that begins there misses nothing.
    revision: u64,
    after: Key,
}

/// One object.
pub fn get(context: &Context<'_>) -> Answer {
    let (namespace, name) = context.key();
    let state = context.api.store.lock();
    check_version(context, &state)?;
    let object = state.get(&context.table, &namespace, &name);
    drop(state);
    let object = object.ok_or_else(|| context.not_found())?;
    Ok(context.respond(StatusCode::OK, &object))
}

/// All objects, or a part of them.
pub fn list(context: &Context<'_>) -> Answer {
    let query = &context.call.request.query;
    let selector = context.selector()?;
    let limit = query.number("limit")?.filter(|limit| *limit > 0);
    let limit = limit.filter(|_| query.get("resourceVersion") != Some("0"));
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let from = query.get("continue").map(Continue::parse).transpose()?;
    let namespace = context.call.path.namespace.as_deref();
    let state = context.api.store.lock();
    let revision = match &from {
        Some(from) => {
            let expired = "The provided continue parameter is too old to display a consistent list result. \
                           You can start a new list without the continue parameter.";
            state
                .changes(&context.table, from.revision)
                .map_err(|_| Status::expired(expired))?;
            from.revision
        }
        None => {
            check_version(context, &state)?;
            state.revision()
        }
    };
    let after = from.as_ref().map(|from| &from.after);
    let found = state.list(&context.table, namespace, after);
    let mut found = found.filter(|(_, object)| selector.matches(object));
    let mut objects = Vec::new();
    let mut last = None;
    for (key, object) in found.by_ref().take(limit) {
        last = Some(key.clone());
        objects.push(object.clone());
    }
    let remaining = found.count();
    drop(state);
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let (Some(after), 1..) = (last, remaining) {
        metadata["continue"] = json!(Continue { revision, after }.text());
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    let objects = objects.iter().map(|object| &**object);
    let list = context.projection().list(metadata, objects, context.now);
    Ok(response::json(StatusCode::OK, &list))
}

/// Refuses versions that this store cannot show: it has only the present.
fn check_version(context: &Context<'_>, state: &State) -> Result<(), Status> {
    let query = &context.call.request.query;
    let wanted = query.number("resourceVersion")?.unwrap_or(0);
    let exact = match query.get("resourceVersionMatch") {
        Some("Exact") if wanted > 0 => true,
        None | Some("NotOlderThan") => false,
        Some(other) => {
            return Err(Status::bad_request(format!(
                "resourceVersionMatch {other:?} is forbidden without a resourceVersion, or unknown"
            )));
        }
    };
    if wanted > state.revision() {
        return Err(Status::too_new(wanted, state.revision()));
    }
    let unchanged = || {
        let changes = state.changes(&context.table, wanted);
        changes.is_ok_and(|changes| changes.is_empty())
    };
    if exact && !unchanged() {
        return Err(Status::expired(
            "The resourceVersion for the provided list is too old.",
        ));
    }
    Ok(())
}

// === impl Continue ===

impl Continue {
    fn parse(text: &str) -> Result<Self, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| Status::bad_request("continue key is not valid"))
    }

    fn text(&self) -> String {
        let value: Value = json!(self);
        URL_SAFE_NO_PAD.encode(value.to_string())
    }
}
