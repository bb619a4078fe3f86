//! What an authorizer is told of a request or a connection.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use crate::policy::{ExternalAuthorizer, HttpAuthorizer};

/// What an authorizer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The client.
    pub source: CheckPeer,
    /// Where it meant to go.
    pub destination: CheckPeer,
    /// When the request began, since 1970.
    pub time: Duration,
    /// The request; none for connections on which no HTTP is spoken.
    pub request: Option<CheckedRequest>,
}

/// One side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPeer {
    /// Address.
    pub address: SocketAddr,
    /// The URI of its certificate; empty without one.
    pub principal: String,
}

/// What an authorizer is told of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedRequest {
    /// `x-request-id`.
    pub id: String,
    /// Method.
    pub method: Vec<u8>,
    /// `http` or `https`.
    pub scheme: Vec<u8>,
    /// Authority.
    pub host: Vec<u8>,
    /// Path with query.
    pub path: Vec<u8>,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// Length of its body; none if nobody knows.
    pub size: Option<u64>,
    /// Headers that are told, by their lower-case names, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body, as far as it is told; none where it is not.
    pub body: Option<Vec<u8>>,
}

/// Says whether the body that is told is only the beginning of it, as Envoy does.
const IS_PARTIAL: &str = "x-envoy-auth-partial-body";

// === impl CheckedRequest ===

impl CheckedRequest {
    /// Adds headers that the authorizer is told; values of one name are joined.
    pub fn add_headers<'h>(
        &mut self,
        authorizer: &ExternalAuthorizer,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) {
        for (name, value) in headers {
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            if !authorizer.is_told(&name) {
                continue;
            }
            match self.headers.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => {
                    known.push(b',');
                    known.extend_from_slice(value);
                }
                None => self.headers.push((name, value.to_vec())),
            }
        }
    }

    /// Adds the body, or its beginning.
    pub fn add_body(&mut self, body: Vec<u8>, is_partial: bool) {
        let text = if is_partial { "true" } else { "false" };
        self.headers.retain(|(name, _)| name != IS_PARTIAL);
        self.headers.push((IS_PARTIAL.to_owned(), text.into()));
        self.body = Some(body);
    }

    /// The path by which an authorizer over HTTP is asked.
    pub fn http_path(&self, authorizer: &HttpAuthorizer) -> Vec<u8> {
        [authorizer.path_prefix.as_bytes(), &*self.path].concat()
    }

    /// The headers that an authorizer over HTTP gets, without those of its own connection.
    pub fn http_headers<'h>(
        &'h self,
        authorizer: &'h HttpAuthorizer,
    ) -> impl Iterator<Item = (&'h str, &'h [u8])> {
        let added = || authorizer.added_headers.iter();
        let is_own = move |name: &str| {
            name == "content-length" || added().any(|(known, _)| **known == *name)
        };
        let told = self.headers.iter().filter(move |(name, _)| !is_own(name));
        let told = told.map(|(name, value)| (name.as_str(), value.as_slice()));
        told.chain(added().map(|(name, value)| (&**name, value.as_bytes())))
    }

    /// All headers by gRPC, those of the first line under their names in HTTP/2. Bytes that are not UTF-8 are replaced.
    pub fn grpc_headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let first = [
            (":method", &self.method),
            (":authority", &self.host),
            (":scheme", &self.scheme),
            (":path", &self.path),
        ];
        let rest = self.headers.iter();
        let rest = rest.map(|(name, value)| (name.as_str(), value));
        let all = first.into_iter().chain(rest);
        all.map(|(name, value)| (name, String::from_utf8_lossy(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{ExternalAuthorizerProtocol, StringPattern};

    #[test]
    fn an_authorizer_over_http_gets_what_it_is_told_and_what_is_added() {
        let http = HttpAuthorizer {
            path_prefix: "/check".into(),
            added_headers: vec![("x-from".into(), "mesh".into())],
            ..HttpAuthorizer::default()
        };
        let authorizer = ExternalAuthorizer {
            protocol: ExternalAuthorizerProtocol::Http(http.clone()),
            request_headers: Some(vec![StringPattern::parse("x-*")]),
            ..ExternalAuthorizer::grpc("p".into(), "c".into(), Duration::from_secs(1))
        };
        let mut request = CheckedRequest {
            path: b"/a?b=c".to_vec(),
            ..CheckedRequest::default()
        };
        let fields: [(&[u8], &[u8]); 6] = [
            (b"X-User", b"jo"),
            (b"x-from", b"outside"),
            (b"accept", b"*/*"),
            (b"Authorization", b"Bearer x"),
            (b"x-user", b"al"),
            (b"content-length", b"5"),
        ];
        request.add_headers(&authorizer, fields.into_iter());
        request.add_body(b"hello".to_vec(), false);
        assert_eq!(request.http_path(&http), b"/check/a?b=c");
        let headers: Vec<_> = request.http_headers(&http).collect();
        let expected: [(&str, &[u8]); 4] = [
            ("x-user", b"jo,al"),
            ("authorization", b"Bearer x"),
            ("x-envoy-auth-partial-body", b"false"),
            ("x-from", b"mesh"),
        ];
        assert_eq!(headers, expected);
    }
}
