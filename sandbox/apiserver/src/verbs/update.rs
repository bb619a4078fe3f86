//! Update: a whole new state of an object or of its status.

use http::StatusCode;

use super::context::Context;
use super::create::{check_type, place};
use super::write::{Part, Proposal, write};
use crate::response::Answer;
use crate::status::{Cause, Status};

/// Replaces the object by the one in the body.
pub async fn answer(context: &Context<'_>, part: Part) -> Answer {
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
    let outcome = write(context, part, |state| {
        let old = context.stored(state)?;
        Ok(Proposal::update(context.key(), old, object.clone()))
    });
    let outcome = outcome.await?;
    Ok(context.respond(StatusCode::OK, outcome.object()))
}
