//! Whom to call: an endpoint of a cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::HostView;
use tokio::time::timeout;

use crate::outgoing;
use crate::runtime::{Cluster, Transport};
use crate::tls::Offer;
use crate::worker::Io;

/// An endpoint of a collector's cluster.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    view: Arc<HostView>,
    transport: Transport,
    connect_timeout: Duration,
}

// === impl Collector ===

impl Collector {
    /// An endpoint of a cluster, by a number that is drawn; none if there is none.
    pub fn of(cluster: &Cluster, draw: u64, view: Arc<HostView>) -> Option<Self> {
        let members = cluster.members()?;
        let count = u64::try_from(members.count()).ok()?;
        let index = usize::try_from(draw.checked_rem(count)?).ok()?;
        let endpoint = members.get(index)?;
        Some(Self {
            address: endpoint.address,
            view,
            transport: cluster.transport(endpoint.offers_mtls).clone(),
            connect_timeout: cluster.config.client.connect_timeout,
        })
    }

    /// A new connection to it.
    pub(super) async fn connect(&self, offer: Offer) -> Result<Io, String> {
        let connecting = async {
            let stream = outgoing::connect(self.address, None, &self.view).await;
            let io = Io::Plain(stream.map_err(|error| error.to_string())?);
            match &self.transport {
                Transport::Plaintext => Ok(io),
                Transport::Tls(tls) => io
                    .connect(tls, offer)
                    .await
                    .map_err(|error| error.to_string()),
                Transport::NotReady(reason) => Err(reason.to_string()),
            }
        };
        match timeout(self.connect_timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err("connection timeout".to_owned()),
        }
    }
}
