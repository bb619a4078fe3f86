//! What becomes of a request: a plain value with every choice, from which the rest follows.

use std::borrow::Cow;
use std::sync::Arc;

use super::authorization::{Authorized, RuleId, Verdict};
use super::{Ask, InjectedFault, TokenError};
use crate::matching::{Matched, Picked};
use crate::{CorsPolicy, DirectResponse, Forward, HeaderOps};

/// What becomes of a request.
#[derive(Debug)]
pub struct Decision<'a> {
    /// What policies say, as far as they are decided; none where there are none.
    pub authorized: Option<Authorized<'a>>,
    /// Failures that come before the action.
    pub fault: InjectedFault,
    /// Says what pages of the request's origin may read of the answer, whoever gives it ([`super::cors::shared_headers`]).
    pub cors: Option<&'a CorsPolicy>,
    /// What happens.
    pub action: Action<'a>,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Action<'a> {
    /// It goes upstream.
    Forward(Forwarding<'a>),
    /// The client is sent elsewhere.
    Redirect {
        /// The route.
        matched: Matched<'a>,
        /// Status code.
        code: u16,
        /// Where to.
        location: Vec<u8>,
    },
    /// The proxy answers.
    Direct {
        /// The route.
        matched: Matched<'a>,
        /// The answer.
        response: &'a DirectResponse,
    },
    /// It asks what pages of its origin may do; the proxy answers 200 ([`super::cors::preflight_headers`]).
    Preflight {
        /// The route.
        matched: Matched<'a>,
        /// What they may do.
        policy: &'a CorsPolicy,
        /// Whether it is one of the route's origins.
        is_allowed: bool,
    },
    /// No route takes it.
    NoRoute,
    /// It is refused.
    Reject(Rejection<'a>),
    /// An authorizer has to be asked first. If it allows the request, it is decided about again, with [`super::Granted`].
    Ask(Ask<'a>),
}

/// How a request goes upstream.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'a> {
    /// The route.
    pub matched: Matched<'a>,
    /// What it says.
    pub forward: &'a Forward,
    /// The cluster that was picked.
    pub picked: Picked<'a>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection<'a> {
    /// Its token is wrong.
    Token(TokenError),
    /// Policies deny it.
    Denied(Verdict<'a>),
    /// A CUSTOM policy matches whose provider the mesh does not know.
    UnknownProvider(&'a RuleId),
}

// === impl Decision ===

impl<'a> Decision<'a> {
    pub(super) fn of(action: Action<'a>) -> Self {
        Self {
            authorized: None,
            fault: InjectedFault::default(),
            cors: None,
            action,
        }
    }
}

// === impl Forwarding ===

impl<'a> Forwarding<'a> {
    /// Changes to request headers, in their order.
    pub fn request_ops(&self) -> [Option<&'a HeaderOps>; 2] {
        let weighted = self
            .picked
            .weighted
            .map(|weighted| &weighted.request_headers);
        [Some(&self.matched.route.request_headers), weighted].map(nonempty)
    }

    /// Changes to response headers, in their order.
    pub fn response_ops(&self) -> [Option<&'a HeaderOps>; 2] {
        let weighted = self
            .picked
            .weighted
            .map(|weighted| &weighted.response_headers);
        [Some(&self.matched.route.response_headers), weighted].map(nonempty)
    }

    /// The new path without query; none if it stays.
    pub fn path<'p>(&self, path: &'p [u8]) -> Option<Cow<'p, [u8]>>
    where
        'a: 'p,
    {
        self.matched.rewrite_path(path)
    }

    /// The new `Host`; none if it stays.
    pub fn host(&self) -> Option<&'a str> {
        self.forward.host_rewrite.as_deref()
    }
}

fn nonempty(ops: Option<&HeaderOps>) -> Option<&HeaderOps> {
    ops.filter(|ops| !ops.is_empty())
}

// === impl Rejection ===

impl Rejection<'_> {
    /// Status code of the answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::Token(_) => 401,
            Self::Denied(_) | Self::UnknownProvider(_) => 403,
        }
    }

    /// Body of the answer, as Envoy's.
    pub fn body(&self) -> &'static str {
        match self {
            Self::Token(error) => error.message(),
            Self::Denied(_) | Self::UnknownProvider(_) => "RBAC: access denied",
        }
    }

    /// Response code details, as Envoy's.
    pub fn details(&self) -> Arc<str> {
        match self {
            Self::Token(error) => {
                let message = error.message().replace(char::is_whitespace, "_");
                ["jwt_authn_access_denied{", &message, "}"].concat().into()
            }
            Self::Denied(verdict) => verdict.denial_details().unwrap_or_default(),
            Self::UnknownProvider(rule) => rule.denial_details.clone(),
        }
    }
}
