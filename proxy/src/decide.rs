//! What becomes of a request, decided without I/O: a plain value with every choice, from which the rest follows.
//!
//! ```text
//! routes, request, ticket --decide--> Decision --> worker: forward, redirect or answer
//! ```

use mesh_ir::matching::{Matched, Picked, RequestView};
use mesh_ir::{DirectResponse, Forward, HeaderOps, RouteAction};

use crate::runtime::{ClusterId, Routes};

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision<'a> {
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
    /// No route takes it.
    NoRoute,
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
    /// Where it is; none if it does not exist.
    pub cluster: Option<ClusterId>,
}

/// Decides. Over evenly spread tickets weighted clusters are picked in proportion.
pub fn decide<'a>(routes: &'a Routes, request: &impl RequestView, ticket: u64) -> Decision<'a> {
    let Some(matched) = routes.table.route(request) else {
        return Decision::NoRoute;
    };
    match &matched.route.action {
        RouteAction::Forward(forward) => {
            let Some(picked) = forward.target.pick(ticket) else {
                return Decision::NoRoute;
            };
            let (host, route) = (matched.virtual_host_index, matched.route_index);
            Decision::Forward(Forwarding {
                matched,
                forward,
                picked,
                cluster: routes.cluster(host, route, picked.index),
            })
        }
        RouteAction::Redirect(redirect) => Decision::Redirect {
            matched,
            code: redirect.code,
            location: matched.redirect_location(request).unwrap_or_default(),
        },
        RouteAction::Direct(response) => Decision::Direct { matched, response },
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
}

fn nonempty(ops: Option<&HeaderOps>) -> Option<&HeaderOps> {
    ops.filter(|ops| !ops.is_empty())
}
