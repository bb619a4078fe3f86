//! One request from its head to its answer.
//!
//! ```text
//! head -> Request -> user -> may he? -> body -> extension | objects (verbs) | pages -> answer
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;

use super::auth::{self, User};
use super::authorization::{self, Attributes};
use super::call::{Call, Extension};
use super::extensions::EXTENSIONS;
use super::request::{Path, Request, Target};
use super::response::{self, Answer, Body};
use super::state::Api;
use super::status::Status;
use super::{pages, verbs};

/// No object is larger; Kubernetes' own limit.
const LARGEST: usize = 3 << 20;

/// A client that does not send its body by then has gone.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// Answers one request; failures are answers too.
pub async fn handle(api: Arc<Api>, request: hyper::Request<Incoming>) -> hyper::Response<Body> {
    let head = request.method() == Method::HEAD;
    let mut response = match answer(api, request).await {
        Ok(response) => response,
        Err(status) => response::failure(&status),
    };
    if head {
        *response.body_mut() = response::nothing();
    }
    response
}

async fn answer(api: Arc<Api>, mut raw: hyper::Request<Incoming>) -> Answer {
    let uri = raw.uri();
    let request = Request::parse(raw.method(), uri.path(), uri.query(), raw.headers())?;
    let path = match &request.target {
        Target::Other(segments) if pages::is_public(segments) => {
            return pages::answer(&api, &request, segments);
        }
        Target::Other(segments) => {
            let user = user(&api, &raw)?;
            let attributes = Attributes {
                user: &user,
                verb: &request.method.as_str().to_lowercase(),
                target: authorization::Target::Path(uri.path()),
            };
            authorization::check(&api, &attributes)?;
            return pages::answer(&api, &request, segments);
        }
        Target::Resource(path) => path.clone(),
    };
    let user = user(&api, &raw)?;
    authorization::check(&api, &Attributes::of(&user, &request, &path)?)?;
    // Elsewhere a client may offer another protocol, and its body counts.
    let is_stream = matches!(&*path.subresource, "attach" | "exec" | "portforward");
    let upgrade = (is_stream && raw.headers().contains_key(header::UPGRADE))
        .then(|| hyper::upgrade::on(&mut raw));
    let (parts, body) = raw.into_parts();
    let body = if upgrade.is_some() || matches!(parts.method, Method::GET | Method::HEAD) {
        Bytes::new()
    } else {
        whole(body).await?
    };
    let call = Call {
        api,
        user,
        request,
        path,
        headers: parts.headers,
        body,
        upgrade,
    };
    dispatch(call).await
}

async fn dispatch(call: Call) -> Answer {
    match row(&call.path, call.request.method.as_str()) {
        Row::Found(row) => (row.handle)(call).await,
        Row::OtherMethod => Err(Status::method_not_allowed()),
        Row::None => verbs::answer(&call).await,
    }
}

/// What the table of extensions says of a path.
enum Row {
    Found(&'static Extension),
    OtherMethod,
    None,
}

fn row(path: &Path, method: &str) -> Row {
    let mut known = Row::None;
    for row in EXTENSIONS.iter().copied().flatten() {
        if !row.matches(path) {
            continue;
        }
        if row.methods.contains(&method) {
            return Row::Found(row);
        }
        known = Row::OtherMethod;
    }
    known
}

fn user(api: &Api, raw: &hyper::Request<Incoming>) -> Result<User, Status> {
    let authorization = raw.headers().get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let user = api
        .authenticator
        .user(authorization, api, Timestamp::now())
        .map_err(|denied| Status::unauthorized(denied.to_string()))?;
    auth::impersonated(api, user, raw.headers())
}

async fn whole(body: Incoming) -> Result<Bytes, Status> {
    let collected = tokio::time::timeout(BODY_LIMIT, Limited::new(body, LARGEST).collect()).await;
    let collected = collected
        .map_err(|_| Status::bad_request("the body of the request did not arrive in time"))?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::too_large(format!(
            "the body of the request is larger than {LARGEST} bytes"
        ))),
        Err(error) => Err(Status::bad_request(format!(
            "failed to read the body of the request: {error}"
        ))),
    }
}
