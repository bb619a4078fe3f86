//! What istioctl, Kiali and `meshctl` ask about the mesh: `/debug/*` on 15014, and the same over xDS on 15012.
//!
//! ```text
//! GET /debug/PAGE?QUERY --access.rs--> pages: a table, each a function of what is published and who is connected --> JSON
//! DiscoveryRequest istio.io/debug* ----> xds.rs, the same pages, and Envoy's own messages for syncz and config_dump
//! ```
//!
//! The pages show configuration, so they are for loopback (`kubectl port-forward` and `meshctl` come from there) and for service
//! accounts of the control plane's namespace.

mod access;
mod messages;
mod query;

mod pages;
mod xds;

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::watch;

use crate::ads::Connections;
use crate::publish::Published;
use crate::versions::Versions;

pub use access::{Access, Refused};
pub use query::Query;

/// What the pages are made of.
#[derive(Clone)]
pub struct Debug {
    /// The latest snapshot.
    pub published: watch::Receiver<Arc<Published>>,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// Which snapshot holds what.
    pub versions: Arc<Versions>,
    /// Name of the cluster.
    pub cluster_id: String,
}

/// Why a page cannot be shown: an HTTP status, and a sentence for people.
pub type Problem = (StatusCode, String);

// === impl Debug ===

impl Debug {
    /// The page at a path below `/debug`, which may be empty: the list of pages.
    ///
    /// # Errors
    /// When there is no such page, or its query makes no sense.
    pub fn page(&self, path: &str, query: &Query) -> Result<serde_json::Value, Problem> {
        let name = path.trim_matches('/');
        let Some(page) = pages::find(name) else {
            let names: Vec<&str> = pages::ALL.iter().map(|page| page.name).collect();
            let names = names.join(", ");
            return Err((
                StatusCode::NOT_FOUND,
                format!("there is no page {name:?} below /debug; there are {names}"),
            ));
        };
        (page.show)(self, query)
    }

    fn published(&self) -> Arc<Published> {
        self.published.borrow().clone()
    }
}

#[cfg(test)]
mod tests;
