//! Patch: JSON patches, merge patches, strategic merge patches, and server-side apply.

use serde_json::{Value, json};

use super::context::Context;
use super::create::{check_type, insert, place};
use super::write::{Owners, Part, Proposal, write};
use crate::fields::{self, Owner};
use crate::json_patch::PatchError;
use crate::response::Answer;
use crate::status::{Cause, Status};
use crate::store::State;
use crate::{body, shape, strategic};

/// What a patch is, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// Patches an object or its status.
pub async fn answer(context: &Context<'_>, part: Part) -> Answer {
    let form = Form::of(context)?;
    let patch = match form {
        Form::Apply => body::yaml(&context.call.body)?,
        Form::Json | Form::Merge | Form::Strategic => body::json(&context.call.body)?,
    };
    let outcome = write(context, part, |state| match form {
        Form::Apply => apply(context, state, patch.clone(), part),
        form => {
            let old = context.stored(state)?;
            let new = patched(context, form, &old, &patch)?;
            Ok(Proposal::update(context.key(), old, new))
        }
    });
    let outcome = outcome.await?;
    Ok(context.respond(outcome.code(), outcome.object()))
}

/// The object after a patch, in the stored version. A patch speaks of the version of its path.
fn patched(context: &Context<'_>, form: Form, old: &Value, patch: &Value) -> Result<Value, Status> {
    let mut object = context.served.encode(old);
    form.apply(context, &mut object, patch)?;
    check_type(context, &object)?;
    context.served.decode(&mut object);
    place(context, &mut object)?;
    let name = context.call.path.name();
    if object["metadata"]["name"] != name {
        let cause = Cause::invalid(
            "metadata.name",
            &object["metadata"]["name"],
            "field is immutable",
        );
        let kind = context.kind;
        return Err(Status::invalid(&kind.group, &kind.kind, name, vec![cause]));
    }
    Ok(object)
}

fn apply(
    context: &Context<'_>,
    state: &State,
    mut applied: Value,
    part: Part,
) -> Result<Proposal, Status> {
    let key = context.key();
    let old = state.get(&context.table, &key.0, &key.1);
    let query = &context.call.request.query;
    if query.get("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Status::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            vec![cause],
        ));
    }
    for field in ["apiVersion", "kind"] {
        if applied[field].as_str().is_none() {
            return Err(Status::bad_request(format!(
                "the applied object has no {field}: it must tell apiVersion and kind"
            )));
        }
    }
    let force = query.flag("force")?;
    check_type(context, &applied)?;
    place(context, &mut applied)?;
    let name = context.call.path.name();
    if applied["metadata"]["name"].as_str().unwrap_or(name) != name {
        return Err(Status::bad_request(format!(
            "the name of the object does not match the name on the URL ({name})"
        )));
    }
    applied["metadata"]["name"] = json!(name);
    if !matches!(&applied["metadata"]["managedFields"], Value::Null) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    context.served.decode(&mut applied);
    let live = old.as_deref().cloned().unwrap_or(Value::Null);
    let owner = Owner {
        manager: &context.manager,
        api_version: &context.served.api_version(),
        subresource: if part == Part::Status { "status" } else { "" },
        time: &context.now.to_string(),
    };
    let merged = fields::apply(shape::root(context.served), &owner, &live, &applied, force)?;
    let owners = Owners::Settled(merged.managed);
    let Some(old) = old else {
        if part == Part::Status {
            return Err(context.not_found());
        }
        let mut object = merged.object;
        object["apiVersion"] = json!(context.served.api_version());
        return insert(context, state, object, owners, true);
    };
    Ok(Proposal {
        owners,
        strict: true,
        ..Proposal::update(key, old, merged.object)
    })
}

// === impl Form ===

impl Form {
    /// By the media type of the request.
    pub fn of(context: &Context<'_>) -> Result<Self, Status> {
        let media = context.call.request.content_type.split(';').next();
        let form = match media.unwrap_or_default().trim() {
            "application/json-patch+json" => Self::Json,
            "application/merge-patch+json" => Self::Merge,
            "application/strategic-merge-patch+json" => Self::Strategic,
            "application/apply-patch+yaml" => Self::Apply,
            other => {
                return Err(Status::unsupported_media(format!(
                    "the body of the request was in an unknown format ({other:?}) - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                )));
            }
        };
        if form == Self::Strategic && context.kind.is_custom() {
            return Err(Status::unsupported_media(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        Ok(form)
    }

    /// Changes an object.
    pub fn apply(
        self,
        context: &Context<'_>,
        object: &mut Value,
        patch: &Value,
    ) -> Result<(), Status> {
        match self {
            Self::Json => crate::json_patch::apply(object, patch).map_err(|error| match error {
                PatchError::Form(_) => Status::bad_request(error.to_string()),
                PatchError::Operations(_) => Status::too_large(error.to_string()),
                _ => Status::unprocessable(format!(
                    "the server rejected our request due to an error in our request: {error}"
                )),
            }),
            Self::Merge | Self::Strategic if !patch.is_object() => {
                Err(Status::bad_request("the patch is no object"))
            }
            Self::Strategic => {
                *object = strategic::merge(shape::root(context.served), object, patch)?;
                Ok(())
            }
            Self::Merge | Self::Apply => {
                json_patch::merge(object, patch);
                Ok(())
            }
        }
    }
}
