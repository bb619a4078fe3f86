//! What of a request is hashed to choose an endpoint.

use envoy_types::pb::envoy::config::route::v3::route_action::{
    HashPolicy as Proto,
    hash_policy::{ConnectionProperties, Cookie, Header, PolicySpecifier, QueryParameter},
};
use mesh_ir::HashPolicy;

use super::border::{At, InvalidResource};
use super::values;

pub(super) fn to_proto(value: &HashPolicy) -> Proto {
    Proto {
        terminal: false,
        policy_specifier: Some(match value {
            HashPolicy::Header(name) => PolicySpecifier::Header(Header {
                header_name: name.to_string(),
                regex_rewrite: None,
            }),
            HashPolicy::Cookie { name, path, ttl } => PolicySpecifier::Cookie(Cookie {
                name: name.to_string(),
                ttl: ttl.and_then(values::duration),
                path: path.to_string(),
                attributes: vec![],
            }),
            HashPolicy::QueryParameter(name) => PolicySpecifier::QueryParameter(QueryParameter {
                name: name.to_string(),
            }),
            HashPolicy::SourceAddress => {
                PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
            }
        }),
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<HashPolicy, InvalidResource> {
    open!(at, proto => Proto {
        keep { policy_specifier }
        refuse { terminal }
        ignore {}
    });
    match policy_specifier {
        Some(PolicySpecifier::Header(header)) => {
            open!(&at.field("header"), header => Header {
                keep { header_name }
                refuse { regex_rewrite }
                ignore {}
            });
            Ok(HashPolicy::Header(header_name.to_ascii_lowercase().into()))
        }
        Some(PolicySpecifier::Cookie(cookie)) => {
            let at = at.field("cookie");
            open!(&at, cookie => Cookie {
                keep { name, ttl, path }
                refuse { attributes }
                ignore {}
            });
            Ok(HashPolicy::Cookie {
                name: name.into(),
                path: path.into(),
                ttl: ttl
                    .map(|ttl| values::from_duration(ttl, &at.field("ttl")))
                    .transpose()?,
            })
        }
        Some(PolicySpecifier::QueryParameter(QueryParameter { name })) => {
            Ok(HashPolicy::QueryParameter(name.into()))
        }
        Some(PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })) => {
            Ok(HashPolicy::SourceAddress)
        }
        Some(PolicySpecifier::ConnectionProperties(_)) => {
            Err(at.field("connection_properties").unsupported())
        }
        Some(PolicySpecifier::FilterState(_)) => Err(at.field("filter_state").unsupported()),
        None => Err(at.field("header").missing()),
    }
}
