//! Destinations and their shares.

use std::sync::Arc;

use mesh_ir::HeaderOps;

use super::{Compiler, Refused};
use crate::diag::FieldPath;
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
        &mut self,
        destination: &model::Destination,
        path: &FieldPath,
    ) -> Result<Destination, Refused> {
        if destination.host.is_empty() {
            return Err(self.invalid(path.key("host"), "a destination needs a host"));
        }
        let namespace = &self.resource.key.namespace;
        let host = expand_host(&destination.host, namespace, self.domain).into();
        let port = destination
            .port
            .as_ref()
            .map(|port| self.port(port.number, path.key("port").key("number")))
            .transpose()?;
        Ok(Destination {
            host,
            subset: destination.subset.as_deref().unwrap_or_default().into(),
            port,
        })
    }

    /// The shares of destinations: a single one gets all; of several, those with weight 0 get nothing.
    pub(super) fn weights(
        &mut self,
        weights: &[Option<i32>],
        path: &FieldPath,
    ) -> Result<Vec<u32>, Refused> {
        let mut shares = Vec::with_capacity(weights.len());
        for (index, weight) in weights.iter().enumerate() {
            let weight = weight.unwrap_or(0);
            match u32::try_from(weight) {
                Ok(share) => shares.push(share),
                Err(_) => {
                    let message = format!("weight {weight} is negative");
                    return Err(self.invalid(path.index(index).key("weight"), message));
                }
            }
        }
        if shares.len() == 1 {
            return Ok(vec![1]);
        }
        let sum = shares
            .iter()
            .try_fold(0u32, |sum, share| sum.checked_add(*share));
        match sum {
            Some(0) => Err(self.invalid(
                path.clone(),
                "the weights of all destinations are 0; give at least one of them a share",
            )),
            None => Err(self.invalid(path.clone(), "the sum of the weights is over 4294967295")),
            Some(_) => Ok(shares),
        }
    }
}
