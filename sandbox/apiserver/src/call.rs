//! One request on its way: what handlers get.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use hyper::upgrade::OnUpgrade;
use serde_json::Value;

use super::auth::User;
use super::request::{Path, Request};
use super::response::Answer;
use super::state::Api;
use super::status::Status;

/// One request with its body.
pub struct Call {
    pub api: Arc<Api>,
    pub user: User,
    pub request: Request,
    /// The objects that are meant.
    pub path: Path,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// For protocols that take the connection over.
    pub upgrade: Option<OnUpgrade>,
}

/// What answers a path that is not simply objects of a kind.
pub struct Extension {
    pub group: &'static str,
    pub resource: &'static str,
    /// Empty for the resource itself, whose objects are then never stored.
    pub subresource: &'static str,
    pub methods: &'static [&'static str],
    pub handle: fn(Call) -> BoxFuture<'static, Answer>,
}

// === impl Call ===

impl Call {
    /// The object in the body, whatever its encoding.
    pub fn object(&self) -> Result<Value, Status> {
        super::body::decode(&self.request.content_type, &self.body)
    }

    /// The object in the body; null when there is no body.
    pub fn optional_object(&self) -> Result<Value, Status> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        self.object()
    }
}

// === impl Extension ===

impl Extension {
    /// True when this row answers the path.
    pub fn matches(&self, path: &Path) -> bool {
        self.group == path.group
            && self.resource == path.resource
            && self.subresource == path.subresource
    }
}
