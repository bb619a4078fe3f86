//! `security.istio.io`.

use super::Row;
use crate::resource::Kind;

const VERSIONS: &[&str] = &["security.istio.io/v1", "security.istio.io/v1beta1"];

pub(super) const ROWS: &[Row] = &[
    Row::without_type(
        Kind::PeerAuthentication,
        "PeerAuthentication",
        "peerauthentications",
        VERSIONS,
    ),
    Row::without_type(
        Kind::RequestAuthentication,
        "RequestAuthentication",
        "requestauthentications",
        VERSIONS,
    ),
    Row::without_type(
        Kind::AuthorizationPolicy,
        "AuthorizationPolicy",
        "authorizationpolicies",
        VERSIONS,
    ),
];
