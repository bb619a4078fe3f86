//! Whom to call: an endpoint of a cluster.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::runtime::{Cluster, Transport};
use crate::tls::Offer;
use crate::worker::Io;

/// An endpoint of a collector's cluster.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    transport: Transport,
    connect_timeout: Duration,
}

// === impl Collector ===

impl Collector {
    /// An endpoint of a cluster, by a number that is drawn; none if there is none.
    pub fn of(cluster: &Cluster, draw: u64) -> Option<Self> {
        let members = cluster.members()?;
        let count = u64::try_from(members.count()).ok()?;
        let index = usize::try_from(draw.checked_rem(count)?).ok()?;
        let endpoint = members.get(index)?;
        Some(Self {
            address: endpoint.address,
            transport: cluster.transport(endpoint.offers_mtls).clone(),
            connect_timeout: cluster.config.client.connect_timeout,
        })
    }

    /// The same at the socket where it is found.
    pub fn at(self, socket: impl FnOnce(SocketAddr) -> SocketAddr) -> Self {
        Self {
            address: socket(self.address),
            ..self
        }
    }

    /// A new connection to it.
    pub(super) async fn connect(&self, offer: Offer) -> Result<Io, String> {
        let connecting = async {
            let stream = TcpStream::connect(self.address).await;
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
