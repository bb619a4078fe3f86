//! Addresses of host names (Istio's NDS), for proxies that resolve names on behalf of their workload.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Lower-case host names (long and short forms) and their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameTable {
    /// By name.
    pub hosts: BTreeMap<Arc<str>, Vec<IpAddr>>,
}
