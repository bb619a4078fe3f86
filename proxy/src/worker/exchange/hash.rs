//! What an endpoint is chosen by where hashes of requests lead to endpoints.

use mesh_ir::{HeaderAppend, HeaderValue, LoadBalancing};

use super::{Exchange, UpstreamTarget};
use crate::balance::{RequestHash, request_hash};
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// The request's hash, where its cluster goes by one. Cookies that it asks for are kept for the response.
    pub(super) fn hash(&mut self, target: UpstreamTarget<'_>) -> Option<u64> {
        let balancing = target.cluster.cluster.config.client.balancing;
        let LoadBalancing::ConsistentHash(_) = balancing else {
            return None;
        };
        let policies = &target.forwarding?.forward.hash;
        let client = self.stream.remote();
        // Both ends of the connection, so that requests on it that overtake each other get the same cookie.
        let connection = || format!("{client}{}", self.context.destination);
        let request = self.stream.head();
        let RequestHash { hash, cookies } =
            request_hash(policies, request, client.ip(), connection);
        self.cookies = cookies;
        hash
    }

    /// Adds the cookies to the fields of the answer.
    pub(super) fn add_cookies(&mut self) {
        let cookies = self.cookies.drain(..).map(|cookie| HeaderValue {
            name: "set-cookie".into(),
            value: cookie.into(),
            append: HeaderAppend::Append,
        });
        let shared = self.shared.get_or_insert_default();
        shared.set.extend(cookies);
    }
}
