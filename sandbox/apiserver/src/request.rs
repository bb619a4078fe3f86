//! Requests, parsed: which part of the API is meant, what is to be done there, and with which options.
//!
//! ```text
//! GET /apis/apps/v1/namespaces/default/deployments/web/scale?pretty=1
//!          |    |              |          |        |    +- subresource
//!          |    |              |          |        +- name
//!          group version   namespace   resource
//! ```

use std::borrow::Cow;

use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use super::status::Status;

/// One request, without its body.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub target: Target,
    pub query: Query,
    pub accept: String,
    pub content_type: String,
    pub user_agent: String,
}

/// Which part of the API is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Objects, or a part of one.
    Resource(Path),
    /// Anything else, by the segments of its path: discovery, health, versions, schemas.
    Other(Vec<String>),
}

/// Objects of a kind, or one of them, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    pub group: String,
    pub version: String,
    /// `None` for cluster-scoped kinds and for all namespaces.
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    /// Empty for the object itself.
    pub subresource: String,
}

/// The parameters after `?`, decoded, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

// === impl Request ===

impl Request {
    /// Reads the head of a request.
    pub fn parse(
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Self, Status> {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let segments: Option<Vec<String>> =
            segments.map(|segment| decode(segment, false)).collect();
        let segments =
            segments.ok_or_else(|| Status::bad_request("the path of the request is not UTF-8"))?;
        let text = |name: header::HeaderName| {
            let values = headers.get_all(name).iter();
            let values = values.filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(",")
        };
        Ok(Self {
            method: method.clone(),
            target: Target::parse(segments),
            query: Query::parse(query.unwrap_or_default())?,
            accept: text(header::ACCEPT),
            content_type: text(header::CONTENT_TYPE),
            user_agent: text(header::USER_AGENT),
        })
    }
}

// === impl Target ===

impl Target {
    fn parse(segments: Vec<String>) -> Self {
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        let path = match words.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => Path::parse("", version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                Path::parse(group, version, rest)
            }
            _ => None,
        };
        match path {
            Some(path) => Self::Resource(path),
            None => Self::Other(segments),
        }
    }
}

// === impl Path ===

impl Path {
    fn parse(group: &str, version: &str, rest: &[&str]) -> Option<Self> {
        let is_namespace_part = |part: &str| matches!(part, "status" | "finalize");
        let (namespace, rest) = match rest {
            ["namespaces", _, part] if group.is_empty() && is_namespace_part(part) => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (resource, None, String::new()),
            [resource, name] => (resource, Some((*name).to_owned()), String::new()),
            [resource, name, part @ ..] => (resource, Some((*name).to_owned()), part.join("/")),
            [] => return None,
        };
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.map(str::to_owned),
            resource: (*resource).to_owned(),
            name,
            subresource,
        })
    }

    /// The name in the path, or none.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The namespace in the path, or none.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

// === impl Query ===

impl Query {
    fn parse(text: &str) -> Result<Self, Status> {
        let bad = || Status::bad_request("the query of the request is not UTF-8");
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, true)?, decode(value, true)?))
        });
        pairs.collect::<Option<Vec<_>>>().map(Self).ok_or_else(bad)
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The first value of a parameter; an empty one counts as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.iter().filter(|(key, _)| *key == name);
        found
            .next()
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.iter().filter(move |(key, _)| *key == name);
        found.map(|(_, value)| value)
    }

    /// A parameter that is true or false.
    pub fn flag(&self, name: &str) -> Result<bool, Status> {
        match self.get(name) {
            None | Some("false" | "0" | "False") => Ok(false),
            Some("true" | "1" | "True") => Ok(true),
            Some(other) => Err(bad_value(name, other)),
        }
    }

    /// A parameter that is a number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Status> {
        self.get(name)
            .map(|value| value.parse().map_err(|_| bad_value(name, value)))
            .transpose()
    }

    /// True when nothing is to be stored.
    pub fn dry_run(&self) -> Result<bool, Status> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(bad_value("dryRun", other)),
        }
    }
}

fn bad_value(name: &str, value: &str) -> Status {
    Status::bad_request(format!(
        "invalid value {value:?} of query parameter {name:?}"
    ))
}

/// Undoes the encoding of a path segment or a query; `None` when the result is not UTF-8.
fn decode(text: &str, plus: bool) -> Option<String> {
    let text = if plus {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    };
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        match Request::parse(&Method::GET, text, None, &HeaderMap::new())
            .unwrap()
            .target
        {
            Target::Resource(path) => path,
            Target::Other(segments) => panic!("{segments:?}"),
        }
    }

    #[test]
    fn paths_name_kinds_objects_and_parts() {
        let scale = path("/apis/apps/v1/namespaces/default/deployments/web/scale");
        assert_eq!(
            scale,
            Path {
                group: "apps".into(),
                version: "v1".into(),
                namespace: Some("default".into()),
                resource: "deployments".into(),
                name: Some("web".into()),
                subresource: "scale".into(),
            }
        );
        let namespace = path("/api/v1/namespaces/a");
        assert_eq!(
            (namespace.name(), &*namespace.resource),
            ("a", "namespaces")
        );
        assert_eq!(
            path("/api/v1/namespaces/a/finalize").subresource,
            "finalize"
        );
        assert_eq!(path("/api/v1/namespaces/a/pods").namespace(), "a");
        assert_eq!(path("/api/v1/nodes/a%3Ab").name(), "a:b");
    }

    #[test]
    fn queries_may_be_empty_and_start_with_an_ampersand() {
        let query = Query::parse("&labelSelector=a%3Db+c&watch=true&limit=").unwrap();
        assert_eq!(query.get("labelSelector"), Some("a=b c"));
        assert!(query.flag("watch").unwrap());
        assert_eq!(query.number("limit").unwrap(), None);
        assert!(Query::parse("watch=maybe").unwrap().flag("watch").is_err());
    }
}
