//! What a request is about, in the terms of rules.

use http::Method;

use crate::auth::User;
use crate::request::{Path, Request};
use crate::status::Status;

/// Who does what to what.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    pub user: &'a User,
    pub verb: &'a str,
    pub target: Target<'a>,
}

/// What something is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    Resource {
        group: &'a str,
        resource: &'a str,
        /// Empty for the objects themselves.
        subresource: &'a str,
        /// Empty for the whole cluster.
        namespace: &'a str,
        /// Empty for all objects, and for those that are yet to be made.
        name: &'a str,
    },
    Path(&'a str),
}

// === impl Attributes ===

impl<'a> Attributes<'a> {
    /// Those of a request for objects.
    pub fn of(user: &'a User, request: &'a Request, path: &'a Path) -> Result<Self, Status> {
        let name = match path.name.as_deref() {
            Some(name) => name,
            // Who may watch one object may do so by its name.
            None => request.query.get("fieldSelector").map_or("", only_name),
        };
        let is_one = path.name.is_some();
        let verb = match request.method {
            Method::GET | Method::HEAD if request.query.flag("watch")? => "watch",
            Method::GET | Method::HEAD if is_one => "get",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if is_one => "delete",
            Method::DELETE => "deletecollection",
            _ => "",
        };
        Ok(Self {
            user,
            verb,
            target: Target::Resource {
                group: &path.group,
                resource: &path.resource,
                subresource: &path.subresource,
                namespace: namespace(path),
                name,
            },
        })
    }

    /// The answer to who may not do it.
    pub fn forbidden(&self) -> Status {
        let user = &self.user.name;
        let verb = self.verb;
        match self.target {
            Target::Path(path) => {
                Status::forbidden_path(&format!("User {user:?} cannot {verb} path {path:?}"))
            }
            Target::Resource {
                group,
                resource,
                subresource,
                namespace,
                name,
            } => {
                let part = if subresource.is_empty() { "" } else { "/" };
                let place = match namespace {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                let why = format!(
                    "User {user:?} cannot {verb} resource \"{resource}{part}{subresource}\" in API group {group:?} {place}"
                );
                Status::forbidden(group, resource, name, &why)
            }
        }
    }
}

/// A namespace lies in itself.
fn namespace(path: &Path) -> &str {
    if path.group.is_empty() && path.resource == "namespaces" {
        return path.name();
    }
    path.namespace()
}

/// The name that a field selector selects, if it selects one only.
fn only_name(selector: &str) -> &str {
    let terms = selector.split(',').map(str::trim);
    let mut names = terms.filter_map(|term| {
        let value = term.strip_prefix("metadata.name")?;
        value.strip_prefix("==").or_else(|| value.strip_prefix('='))
    });
    names.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::request::Target as Requested;

    fn told(method: Method, path: &str, query: &str) -> String {
        let user = User::named("u");
        let request = Request::parse(&method, path, Some(query), &HeaderMap::new()).unwrap();
        let Requested::Resource(path) = &request.target else {
            panic!("{path}")
        };
        Attributes::of(&user, &request, path)
            .unwrap()
            .forbidden()
            .message
    }

    #[test]
    fn refusals_read_as_those_of_kubernetes() {
        for (method, path, query, expected) in [
            (
                Method::GET,
                "/api/v1/namespaces/n/pods",
                "",
                "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" in the namespace \"n\"",
            ),
            (
                Method::GET,
                "/apis/apps/v1/deployments",
                "watch=1",
                "deployments.apps is forbidden: User \"u\" cannot watch resource \"deployments\" in API group \"apps\" at the cluster scope",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/n/pods/p/log",
                "",
                "pods \"p\" is forbidden: User \"u\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"n\"",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/n/secrets",
                "fieldSelector=metadata.name%3Ds",
                "secrets \"s\" is forbidden: User \"u\" cannot list resource \"secrets\" in API group \"\" in the namespace \"n\"",
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/n",
                "",
                "namespaces \"n\" is forbidden: User \"u\" cannot delete resource \"namespaces\" in API group \"\" in the namespace \"n\"",
            ),
        ] {
            assert_eq!(told(method, path, query), expected);
        }
    }
}
