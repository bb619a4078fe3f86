//! Create.

use http::StatusCode;
use serde_json::{Value, json};

use super::context::Context;
use super::write::{Owners, Part, Proposal, write};
use crate::metadata::{NameRule, generate_name};
use crate::response::Answer;
use crate::status::{Cause, Status};
use crate::store::State;

/// How often another generated name is tried when one is taken.
const ATTEMPTS: usize = 8;

/// Creates the object in the body.
pub async fn answer(context: &Context<'_>) -> Answer {
    let object = context.call.object()?;
    check_type(context, &object)?;
    let outcome = write(context, Part::Main, |state| {
        insert(context, state, object.clone(), Owners::Update, false)
    });
    let outcome = outcome.await?;
    Ok(context.respond(StatusCode::CREATED, outcome.object()))
}

/// Proposes an object, which has the version of the request, under a name that nobody has.
pub fn insert(
    context: &Context<'_>,
    state: &State,
    mut object: Value,
    owners: Owners,
    strict: bool,
) -> Result<Proposal, Status> {
    context.served.decode(&mut object);
    place(context, &mut object)?;
    let is_named_here = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .is_empty();
    name(context, state, &mut object)?;
    check_namespace(context, state)?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let key = (context.call.path.namespace().to_owned(), name.to_owned());
    if state.get(&context.table, &key.0, &key.1).is_some() {
        return Err(Status::already_exists(
            &context.kind.group,
            &context.kind.plural,
            name,
        ));
    }
    Ok(Proposal {
        key,
        old: None,
        new: object,
        owners,
        strict,
        is_named_here,
    })
}

/// The body must be of the kind that the path names.
pub fn check_type(context: &Context<'_>, object: &Value) -> Result<(), Status> {
    if !object.is_object() {
        return Err(Status::bad_request("the body of the request is no object"));
    }
    let expected = context.served.api_version();
    let given = object["apiVersion"].as_str().unwrap_or(&expected);
    if given != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({expected})"
        )));
    }
    let expected = &context.kind.kind;
    let given = object["kind"].as_str().unwrap_or(expected);
    if given != expected {
        return Err(Status::bad_request(format!(
            "the kind in the data ({given}) does not match the expected kind ({expected})"
        )));
    }
    match &object["metadata"] {
        Value::Null | Value::Object(_) => Ok(()),
        _ => Err(Status::bad_request(format!(
            "{given} in version {:?} cannot be handled as a {given}: metadata: it is no object",
            context.served.version
        ))),
    }
}

/// The namespace of the path is that of the object.
pub fn place(context: &Context<'_>, object: &mut Value) -> Result<(), Status> {
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let wanted = context.call.path.namespace();
    if !given.is_empty() && given != wanted {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if wanted.is_empty() {
        super::stored::set_or_remove(&mut object["metadata"], "namespace", &Value::Null);
    } else {
        object["metadata"]["namespace"] = json!(wanted);
    }
    Ok(())
}

fn name(context: &Context<'_>, state: &State, object: &mut Value) -> Result<(), Status> {
    let metadata = &mut object["metadata"];
    let kind = context.kind;
    let invalid = |name: &str, cause| Status::invalid(&kind.group, &kind.kind, name, vec![cause]);
    if !matches!(metadata["resourceVersion"].as_str(), None | Some("" | "0")) {
        return Err(Status::internal(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if metadata["name"].as_str().unwrap_or_default().is_empty() {
        let prefix = metadata["generateName"].as_str().unwrap_or_default();
        if prefix.is_empty() {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(invalid("", cause));
        }
        let namespace = context.call.path.namespace();
        let free = |name: &String| state.get(&context.table, namespace, name).is_none();
        let name = (0..ATTEMPTS).map(|_| generate_name(prefix)).find(free);
        metadata["name"] = json!(name.unwrap_or_else(|| generate_name(prefix)));
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    match NameRule::of(&kind.group, &kind.plural).check(name) {
        Some(cause) => Err(invalid(name, cause)),
        None => Ok(()),
    }
}

/// Nothing is created in a namespace that is not there or is going away.
pub fn check_namespace(context: &Context<'_>, state: &State) -> Result<(), Status> {
    let Some(name) = context.call.path.namespace.as_deref() else {
        return Ok(());
    };
    let namespace = state
        .get("namespaces", "", name)
        .ok_or_else(|| Status::not_found("", "namespaces", name))?;
    if namespace["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let why =
        format!("unable to create new content in namespace {name} because it is being terminated");
    let cause = Cause {
        reason: "NamespaceTerminating",
        message: format!("namespace {name} is being terminated"),
        field: "metadata.namespace".to_owned(),
    };
    let kind = context.kind;
    Err(
        Status::forbidden(&kind.group, &kind.plural, context.call.path.name(), &why)
            .with_cause(cause),
    )
}
