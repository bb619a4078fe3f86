//! Changes to headers whose values have command operators.

use std::time::SystemTime;

use mesh_ir::{HeaderOps, HeaderValue};

use super::{Exchange, UpstreamTarget};
use crate::http1::Fields;
use crate::worker::edit::Ops;
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// The changes with what their operators stand for; none if all values are literal, so that the changes can be made as they are.
    ///
    /// As in Envoy, an operator without value stands for nothing, and a value that comes out empty changes nothing. Bytes that are not
    /// UTF-8 are replaced.
    pub(super) fn substitute(
        &self,
        ops: Ops<'_>,
        response: Fields<'_>,
        target: UpstreamTarget<'_>,
    ) -> Option<Box<[HeaderOps; 2]>> {
        let routes = self.context.routes.filter(|routes| routes.substitutes())?;
        let mut values = ops.iter().flatten().flat_map(|ops| &ops.set);
        if !values.any(|set| set.value.contains('%')) {
            return None;
        }
        let route = target
            .forwarding
            .map_or("", |forwarding| &*forwarding.matched.route.name);
        let duration = self.begun.elapsed();
        // Before the request is sent, its host is not rewritten yet.
        let forwarding = target.forwarding.filter(|_| self.info.has_response);
        let record = self.to_record(response, route, Some(target.cluster), forwarding, duration);
        let now = SystemTime::now();
        let value = |set: &HeaderValue| {
            let Some(text) = routes.substitution(&set.value) else {
                return Some(set.clone());
            };
            let mut out = Vec::new();
            text.write(&mut out, &record, now, b"");
            (!out.is_empty()).then(|| HeaderValue {
                value: String::from_utf8_lossy(&out).into(),
                ..set.clone()
            })
        };
        Some(Box::new(ops.map(|ops| {
            ops.map_or_else(HeaderOps::default, |ops| HeaderOps {
                remove: ops.remove.clone(),
                set: ops.set.iter().filter_map(value).collect(),
            })
        })))
    }
}
