//! Sharing with pages of other origins (CORS): the fields of an answer by which such a page may read it.

use mesh_ir::evaluate::{Action, cors};
use mesh_ir::matching::RequestView as _;
use mesh_ir::{CorsPolicy, HeaderOps};

use super::Exchange;
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// The fields that an answer gets; none without a policy for the client's origin.
    pub(super) fn share(
        &self,
        action: &Action<'_>,
        policy: Option<&CorsPolicy>,
    ) -> Option<Box<HeaderOps>> {
        let request = self.stream.head();
        let origin = || request.header("origin").unwrap_or_default();
        let fields = match action {
            Action::Preflight {
                policy, is_allowed, ..
            } => Some(cors::preflight_headers(policy, &origin(), *is_allowed)),
            _ => policy.map(|policy| cors::shared_headers(policy, &origin())),
        };
        fields.map(Box::new)
    }
}
