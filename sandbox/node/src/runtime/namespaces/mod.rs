//! Pods in namespaces of the kernel: each with a network, an address, a host name and files of its own, so that programs need not know
//! where they run. Nothing here needs more than an ordinary user may do in a user namespace of his own.
//!
//! ```text
//! world    the namespaces around the whole sandbox, made by its process before anything else
//! enter    threads that go into a pod's namespaces; what they start is born there
//! files    what a container sees: this machine's files, and its volumes at their paths
//! ruleset  ClusterIPs as rules of the kernel
//! names, dns   the cluster's DNS server
//! ```

mod dns;
mod enter;
mod files;
mod names;
mod network_files;
mod pod;
mod ruleset;
mod services;
mod tools;
pub mod world;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::TcpStream;

use super::address::Pool;
use super::{PodError, PodHandle, PodRuntime, PodSpec, Processes};

pub use dns::Upstream;
pub use pod::{FIRST_WORD, mount_processes};
pub use services::NamespaceServices;

/// Pods that there are addresses for, from 10.244.0.2 on.
const PODS: u16 = u16::MAX - 2;

/// The back end.
#[derive(Clone)]
pub struct Namespaces {
    shared: Arc<Shared>,
}

struct Shared {
    /// The program that built-in programs are run with, as this process finds it.
    exe: PathBuf,
    pool: Pool,
    processes: Processes,
}

// === impl Namespaces ===

impl Namespaces {
    /// A back end in the world around this process. `exe` runs built-in programs.
    pub fn new(exe: PathBuf) -> Self {
        let shared = Shared {
            exe,
            pool: Pool::new(PODS),
            processes: Processes::unrecorded(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl PodRuntime for Namespaces {
    fn node_address(&self) -> Ipv4Addr {
        world::NODE
    }

    fn create(&self, spec: PodSpec) -> BoxFuture<'_, Result<Arc<dyn PodHandle>, PodError>> {
        let shared = self.shared.clone();
        async move {
            let uid = spec.uid();
            let number = shared.pool.claim(&uid).ok_or(PodError::NoAddress)?;
            match pod::create(shared.clone(), spec, number).await {
                Ok(pod) => Ok(Arc::new(pod) as Arc<dyn PodHandle>),
                Err(error) => {
                    shared.pool.release(&uid);
                    Err(error)
                }
            }
        }
        .boxed()
    }

    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        TcpStream::connect((address, port)).boxed()
    }
}

/// The address of the pod of a number.
fn address(number: u16) -> Ipv4Addr {
    let [third, fourth] = (number + 2).to_be_bytes();
    Ipv4Addr::new(10, 244, third, fourth)
}
