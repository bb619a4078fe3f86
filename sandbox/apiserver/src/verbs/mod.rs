//! The verbs: what can be done with the objects of every kind.
//!
//! ```text
//! Call + Served -> Context -> get | list | watch | create | update | patch | delete -> answer
//!                                                   \________________________/
//!                                                     write: one path into the store
//! ```

mod context;
mod create;
mod delete;
mod patch;
mod read;
mod scale;
mod stored;
mod update;
mod watch;
mod write;

use http::Method;

pub use context::Context;
pub use delete::{Deletion, Propagation, delete_object, remove_finalizer};
pub use stored::{finish, set_or_remove};

use super::call::Call;
use super::response::Answer;
use super::status::Status;

/// Does what a request asks for.
pub async fn answer(call: &Call) -> Answer {
    let kinds = call.api.kinds();
    let path = &call.path;
    let served = kinds
        .find(&path.group, &path.version, &path.resource)
        .ok_or_else(Status::no_resource)?;
    let context = Context::new(call, served)?;
    let namespaced = served.kind.namespaced;
    if !namespaced && path.namespace.is_some() {
        return Err(Status::no_resource());
    }
    let complete = path.namespace.is_some() || !namespaced;
    match (path.name.is_some(), path.subresource.as_str()) {
        (true, _) if !complete => Err(Status::no_resource()),
        (false, _) => collection(&context, complete).await,
        (true, "") => object(&context).await,
        (true, "status") if served.kind.status => part(&context, write::Part::Status).await,
        (true, "finalize") if served.kind.is("", "namespaces") => {
            part(&context, write::Part::Main).await
        }
        (true, "ephemeralcontainers") if served.kind.is("", "pods") => {
            part(&context, write::Part::Main).await
        }
        (true, "scale") if served.kind.scale.is_some() => scale::answer(&context).await,
        (true, _) => Err(Status::no_resource()),
    }
}

async fn collection(context: &Context<'_>, complete: bool) -> Answer {
    let request = &context.call.request;
    match request.method {
        _ if context.kind.transient => Err(Status::method_not_allowed()),
        Method::GET | Method::HEAD if request.query.flag("watch")? => watch::answer(context),
        Method::GET | Method::HEAD => read::list(context),
        Method::POST if complete => create::answer(context).await,
        Method::DELETE if complete => delete::collection(context).await,
        _ => Err(Status::method_not_allowed()),
    }
}

async fn object(context: &Context<'_>) -> Answer {
    let request = &context.call.request;
    match request.method {
        _ if context.kind.transient => Err(Status::method_not_allowed()),
        Method::GET | Method::HEAD if request.query.flag("watch")? => watch::answer(context),
        Method::DELETE => delete::answer(context).await,
        _ => part(context, write::Part::Main).await,
    }
}

async fn part(context: &Context<'_>, part: write::Part) -> Answer {
    match context.call.request.method {
        Method::GET | Method::HEAD => read::get(context),
        Method::PUT => update::answer(context, part).await,
        Method::PATCH => patch::answer(context, part).await,
        _ => Err(Status::method_not_allowed()),
    }
}
