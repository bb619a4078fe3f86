//! Destinations and their shares.

use std::sync::Arc;

use mesh_ir::HeaderOps;

use super::{Compiler, Refused, port};
use crate::model;
use crate::snapshot::expand_host;

/// A service, perhaps a subset, perhaps a port.
#[derive(Clone, Debug)]
pub(in crate::translate) struct Destination {
    /// Fully qualified.
    pub(in crate::translate) host: Arc<str>,
    /// Empty for the whole service.
    pub(in crate::translate) subset: Arc<str>,
    pub(in crate::translate) port: Option<u16>,
}

/// A destination with its share.
#[derive(Clone, Debug)]
pub(in crate::translate) struct WeightedDestination {
    pub(in crate::translate) destination: Destination,
    /// Not 0.
    pub(in crate::translate) weight: u32,
    pub(in crate::translate) request_headers: HeaderOps,
    pub(in crate::translate) response_headers: HeaderOps,
}

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn destination(
        &self,
        destination: &model::Destination,
    ) -> Result<Destination, Refused> {
        let namespace = &self.resource.key.namespace;
        let host = expand_host(&destination.host, namespace, self.domain).into();
        let port = destination
            .port
            .as_ref()
            .map(|selector| port(selector.number))
            .transpose()?;
        Ok(Destination {
            host,
            subset: destination.subset.as_deref().unwrap_or_default().into(),
            port,
        })
    }
}

/// The shares of destinations: a single one gets all; of several, those with weight 0 get nothing.
pub(super) fn shares(weights: &[Option<i32>]) -> Result<Vec<u32>, Refused> {
    if weights.len() == 1 {
        return Ok(vec![1]);
    }
    let share = |weight: &Option<i32>| u32::try_from(weight.unwrap_or(0)).map_err(|_| Refused);
    weights.iter().map(share).collect()
}
