//! The hash of a request, by the properties that its route names (`hash_policy`), computed as Envoy does.

use std::net::IpAddr;

use mesh_ir::HashPolicy;
use twox_hash::XxHash64;

use crate::http1::RequestRef;

/// The hash of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHash {
    /// None if it has none of the properties.
    pub hash: Option<u64>,
    /// `set-cookie` for clients that have not got the cookie yet that is hashed.
    pub cookies: Vec<String>,
}

/// Hashes a request that came from `client`; `connection` names its connection, for cookies that are made.
pub fn request_hash(
    policies: &[HashPolicy],
    request: RequestRef<'_>,
    client: IpAddr,
    connection: impl Fn() -> String,
) -> RequestHash {
    let mut all = RequestHash::default();
    for policy in policies {
        let hash = match policy {
            HashPolicy::Header(name) => header(request, name),
            HashPolicy::SourceAddress => Some(XxHash64::oneshot(
                0,
                client.to_canonical().to_string().as_bytes(),
            )),
            HashPolicy::QueryParameter(name) => query(request, name),
            HashPolicy::Cookie { name, path, ttl } => {
                let sent = cookie(request, name).map(|value| XxHash64::oneshot(0, value));
                sent.or_else(|| {
                    let value = format!("{:x}", XxHash64::oneshot(0, connection().as_bytes()));
                    all.cookies
                        .push(set_cookie(name, &value, path, ttl.as_ref()?.as_secs()));
                    Some(XxHash64::oneshot(0, value.as_bytes()))
                })
            }
        };
        if let Some(hash) = hash {
            let before = all.hash.map(|before| before.rotate_left(1));
            all.hash = Some(before.map_or(hash, |before| before ^ hash));
        }
    }
    all
}

/// The values of a header are hashed one after the other, sorted.
fn header(request: RequestRef<'_>, name: &str) -> Option<u64> {
    if name == "host" || name == ":authority" {
        return Some(XxHash64::oneshot(0, request.authority()));
    }
    let fields = request.fields().iter();
    let mut values: Vec<&[u8]> = fields
        .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value)
        .collect();
    values.sort_unstable();
    (!values.is_empty()).then(|| {
        values
            .iter()
            .fold(0, |seed, value| XxHash64::oneshot(seed, value))
    })
}

fn query(request: RequestRef<'_>, name: &str) -> Option<u64> {
    let mut parameters = request.query()?.split(|byte| *byte == b'&');
    parameters.find_map(|parameter| {
        let (key, value) = split(parameter, b'=').unwrap_or((parameter, b""));
        (key == name.as_bytes()).then(|| XxHash64::oneshot(0, value))
    })
}

fn cookie<'r>(request: RequestRef<'r>, name: &str) -> Option<&'r [u8]> {
    let fields = request.fields().iter();
    let cookies = fields.filter(|(field, _)| field.eq_ignore_ascii_case(b"cookie"));
    let mut pairs = cookies.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let (key, value) = split(pair.trim_ascii(), b'=')?;
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let value = value.strip_suffix(b"\"").unwrap_or(value);
        (key == name.as_bytes() && !value.is_empty()).then_some(value)
    })
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..position)?, text.get(position + 1..)?))
}

/// A cookie that scripts do not see; with a life of 0 it lives as long as the browser's session.
fn set_cookie(name: &str, value: &str, path: &str, life: u64) -> String {
    let mut cookie = format!("{name}=\"{value}\"");
    if life > 0 {
        cookie.push_str(&format!("; Max-Age={life}"));
    }
    if !path.is_empty() {
        cookie.push_str("; Path=");
        cookie.push_str(path);
    }
    cookie.push_str("; HttpOnly");
    cookie
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http1::{HeadLimits, RequestHead};

    #[track_caller]
    fn hash(head: &str, policies: &[HashPolicy]) -> RequestHash {
        let text = format!("GET /path?a=1&b=2&b=3 HTTP/1.1\r\nhost: h\r\n{head}\r\n");
        let mut request = RequestHead::default();
        assert_eq!(request.parse(text.as_bytes(), HeadLimits::FIRST), Ok(true));
        let request = RequestRef {
            head: &request,
            bytes: text.as_bytes(),
        };
        request_hash(policies, request, [10, 0, 0, 1].into(), || {
            "connection".to_owned()
        })
    }

    #[test]
    fn each_property_is_hashed_by_its_value() {
        let of = |value: &str| Some(XxHash64::oneshot(0, value.as_bytes()));
        let header = [HashPolicy::Header("x-user".into())];
        assert_eq!(hash("X-User: jason\r\n", &header).hash, of("jason"));
        assert_eq!(hash("", &header).hash, None);
        assert_eq!(
            hash("x-user: b\r\nx-user: a\r\n", &header),
            hash("x-user: a\r\nx-user: b\r\n", &header)
        );
        assert_eq!(
            hash("", &[HashPolicy::QueryParameter("b".into())]).hash,
            of("2")
        );
        assert_eq!(hash("", &[HashPolicy::SourceAddress]).hash, of("10.0.0.1"));
        let both = hash(
            "x-user: j\r\n",
            &[HashPolicy::SourceAddress, header[0].clone()],
        )
        .hash;
        let first = XxHash64::oneshot(0, b"10.0.0.1").rotate_left(1);
        assert_eq!(both, Some(first ^ XxHash64::oneshot(0, b"j")));
    }

    #[test]
    fn a_cookie_is_made_for_who_has_none() {
        let cookie = |ttl| HashPolicy::Cookie {
            name: "user".into(),
            path: "/p".into(),
            ttl,
        };
        let sent = hash("cookie: a=b; user=\"x\"\r\n", &[cookie(None)]);
        assert_eq!(sent.hash, Some(XxHash64::oneshot(0, b"x")));
        assert_eq!(hash("", &[cookie(None)]), RequestHash::default());
        let made = hash("", &[cookie(Some(Duration::from_secs(60)))]);
        let value = format!("{:x}", XxHash64::oneshot(0, b"connection"));
        assert_eq!(
            made.cookies,
            [format!("user=\"{value}\"; Max-Age=60; Path=/p; HttpOnly")]
        );
        // The next request, which has it, goes the same way.
        let next = hash(&format!("cookie: user={value}\r\n"), &[cookie(None)]);
        assert_eq!(next.hash, made.hash);
    }
}
