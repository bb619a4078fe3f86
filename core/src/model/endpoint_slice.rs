//! EndpointSlices, as far as the mesh reads them. A large cluster has a hundred thousand endpoints, of which Kubernetes' full type keeps
//! 400 bytes each.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer};

/// Endpoints of a Service (`discovery.k8s.io`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EndpointSlice {
    /// The endpoints.
    pub endpoints: Option<Box<[SliceEndpoint]>>,
    /// Their ports, the same for all of them.
    pub ports: Option<Box<[SlicePort]>>,
}

/// An endpoint of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SliceEndpoint {
    /// Its IP addresses; host names are left out.
    #[serde(deserialize_with = "ip_addresses")]
    pub addresses: Box<[IpAddr]>,
    /// Whether it takes requests.
    pub conditions: Option<SliceConditions>,
    /// Name of the node that it is on.
    pub node_name: Option<Box<str>>,
    /// What it is an address of, usually a pod.
    pub target_ref: Option<Box<SliceTarget>>,
    /// Zone that it is in.
    pub zone: Option<Box<str>>,
}

/// State of an endpoint; what is not said is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SliceConditions {
    /// It takes requests; so does one that does not say.
    pub ready: Option<bool>,
    /// It serves, be it terminating or not.
    pub serving: Option<bool>,
    /// It is about to end.
    pub terminating: Option<bool>,
}

/// A reference to an object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SliceTarget {
    /// Its kind; of a pod where nothing is said.
    pub kind: Option<Box<str>>,
    /// Its namespace; that of the slice where nothing is said.
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SlicePort {
    /// Name of the Service's port; none for the only one.
    pub name: Option<Box<str>>,
    /// Its number.
    pub port: Option<i32>,
}

fn ip_addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[IpAddr]>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?;
    let texts = texts.into_iter().flatten();
    Ok(texts.filter_map(|text| text.parse().ok()).collect())
}
