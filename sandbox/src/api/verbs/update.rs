//! Update: a whole new state of an object or of its status.

use http::StatusCode;

use super::context::Context;
use super::create::{check_type, place};
use super::write::{Owners, Part, Write};
use crate::api::response::Answer;
use crate::api::status::{Cause, Status};

/// Replaces the object by the one in the body.
pub fn answer(context: &Context<'_>, part: Part) -> Answer {
    let mut object = context.call.object()?;
    check_type(context, &object)?;
    context.served.decode(&mut object);
    place(context, &mut object)?;
    let name = context.call.path.name();
    let given = object["metadata"]["name"].as_str().unwrap_or(name);
    if given != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let kind = context.kind;
    let version = object["metadata"]["resourceVersion"].as_str();
    if kind.is_custom() && version.unwrap_or_default().is_empty() {
        let cause = Cause {
            reason: "FieldValueInvalid",
            message: "Invalid value: 0x0: must be specified for an update".to_owned(),
            field: "metadata.resourceVersion".to_owned(),
        };
        return Err(Status::invalid(&kind.group, &kind.kind, name, vec![cause]));
    }
    let key = context.key();
    let mut state = context.api.store.lock();
    let old = state
        .get(&context.table, &key.0, &key.1)
        .ok_or_else(|| context.not_found())?;
    let write = Write {
        context,
        part,
        owners: Owners::Update,
        strict: false,
    };
    let outcome = write.store(&mut state, key, Some(&old), object)?;
    drop(state);
    Ok(context.respond(StatusCode::OK, outcome.object()))
}
