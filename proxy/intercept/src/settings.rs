//! What is redirected, and what is left alone.

use std::net::IpAddr;

use mesh_ir::{Cidr, ports};

/// User and group of the proxy, whose own connections are not redirected.
const PROXY_ID: u32 = 1337;

/// Everything that the rules depend on. The default redirects all of a pod's TCP traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where outbound connections are redirected to.
    pub outbound_port: u16,
    /// Where inbound connections are redirected to.
    pub inbound_port: u16,
    /// Port of tunnelled traffic, which the proxy terminates itself.
    pub tunnel_port: u16,
    /// Users whose connections are the proxy's.
    pub proxy_users: Vec<u32>,
    /// Groups whose connections are the proxy's.
    pub proxy_groups: Vec<u32>,
    /// The mark of the proxy's packets, where it has no user of its own; users and groups then count for nothing.
    pub proxy_mark: Option<u32>,
    /// Inbound ports that are redirected.
    pub include_inbound_ports: Selection<u16>,
    /// Inbound ports that are not, whatever `include_inbound_ports` says.
    pub exclude_inbound_ports: Vec<u16>,
    /// Destination networks that are redirected.
    pub include_outbound_networks: Selection<Cidr>,
    /// Destination networks that are not, whatever the other settings say.
    pub exclude_outbound_networks: Vec<Cidr>,
    /// Destination ports that are redirected whatever the network.
    pub include_outbound_ports: Selection<u16>,
    /// Destination ports that are not redirected.
    pub exclude_outbound_ports: Vec<u16>,
    /// Network interfaces that are left alone, in both directions. A name may end in `+`, for all that begin with it.
    pub exclude_interfaces: Vec<String>,
    /// Interfaces of virtual machines behind the pod: what comes in there is outbound traffic.
    pub virtual_machine_interfaces: Vec<String>,
    /// What becomes of DNS queries.
    pub dns: Dns,
    /// Whether IPv6 is redirected as well. Without, IPv6 connections bypass the proxy.
    pub ipv6: bool,
}

/// All of something, or what is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection<T> {
    /// `*`.
    All,
    /// These; none if the list is empty.
    Only(Vec<T>),
}

/// What becomes of DNS queries, by UDP and TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dns {
    /// They are not redirected.
    #[default]
    Untouched,
    /// All of them go to the proxy.
    All,
    /// Those to these servers go to the proxy, which are the pod's own.
    Servers(Vec<IpAddr>),
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            outbound_port: ports::PROXY_OUTBOUND,
            inbound_port: ports::PROXY_INBOUND,
            tunnel_port: ports::PROXY_HBONE,
            proxy_users: vec![PROXY_ID],
            proxy_groups: vec![PROXY_ID],
            proxy_mark: None,
            include_inbound_ports: Selection::All,
            exclude_inbound_ports: Vec::new(),
            include_outbound_networks: Selection::All,
            exclude_outbound_networks: Vec::new(),
            include_outbound_ports: Selection::Only(Vec::new()),
            exclude_outbound_ports: Vec::new(),
            exclude_interfaces: Vec::new(),
            virtual_machine_interfaces: Vec::new(),
            dns: Dns::Untouched,
            ipv6: true,
        }
    }
}

// === impl Selection ===

impl<T> Selection<T> {
    /// Whether nothing is selected.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(list) if list.is_empty())
    }
}
