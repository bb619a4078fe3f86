//! `security.istio.io`.

use super::{Column, Definition, Effect, Row, definition, typed};
use crate::model::{AuthorizationPolicySpec, PeerAuthenticationSpec, RequestAuthenticationSpec};
use crate::resource::compile;
use crate::resource::{Kind, Object};
use crate::validate::{authorization_policy, peer_authentication, request_authentication};

const VERSIONS: &[&str] = &["security.istio.io/v1", "security.istio.io/v1beta1"];
const CATEGORIES: &[&str] = &["istio-io", "security-istio-io"];

pub(super) const ROWS: &[Row] = &[
    Row {
        effect: Effect::Full,
        ..typed!(
            PeerAuthentication,
            PeerAuthenticationSpec,
            peer_authentication::check,
            VERSIONS,
            "peerauthentications",
            &PEER_AUTHENTICATION
        )
    },
    Row {
        effect: Effect::Partly,
        ..typed!(
            RequestAuthentication,
            RequestAuthenticationSpec,
            request_authentication::check,
            VERSIONS,
            "requestauthentications",
            &REQUEST_AUTHENTICATION
        )
    },
    Row {
        effect: Effect::Partly,
        ..typed!(
            AuthorizationPolicy,
            AuthorizationPolicySpec,
            authorization_policy::check,
            VERSIONS,
            "authorizationpolicies",
            &AUTHORIZATION_POLICY
        )
    },
];

static PEER_AUTHENTICATION: Definition = definition!(
    PeerAuthenticationSpec,
    &["pa"],
    CATEGORIES,
    &[Column {
        name: "Mode",
        type_: "string",
        path: ".spec.mtls.mode",
        description: "Mode of mutual TLS",
    }]
);

static REQUEST_AUTHENTICATION: Definition =
    definition!(RequestAuthenticationSpec, &["ra"], CATEGORIES, &[]);

static AUTHORIZATION_POLICY: Definition = definition!(
    AuthorizationPolicySpec,
    &["ap"],
    CATEGORIES,
    &[Column {
        name: "Action",
        type_: "string",
        path: ".spec.action",
        description: "What happens to requests that match",
    }]
);
