//! Istio's name table (NDS).

use std::collections::BTreeMap;

use mesh_ir::NameTable;

use super::border::{At, InvalidResource};

/// `istio.networking.nds.v1.NameTable`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Proto {
    #[prost(btree_map = "string, message", tag = "1")]
    table: BTreeMap<String, NameInfo>,
}

/// `istio.networking.nds.v1.NameTable.NameInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct NameInfo {
    #[prost(string, repeated, tag = "1")]
    ips: Vec<String>,
    /// `Kubernetes` or `External`; only shown by Istio's debug pages.
    #[prost(string, tag = "2")]
    registry: String,
}

pub(super) fn to_proto(value: &NameTable) -> Proto {
    let NameTable { hosts } = value;
    let table = hosts
        .iter()
        .map(|(name, addresses)| {
            let info = NameInfo {
                ips: addresses.iter().map(ToString::to_string).collect(),
                registry: String::new(),
            };
            (name.to_string(), info)
        })
        .collect();
    Proto { table }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<NameTable, InvalidResource> {
    let at = at.field("table");
    let Proto { table } = proto;
    let hosts = table
        .into_iter()
        .map(|(name, info)| {
            let NameInfo { ips, registry: _ } = info;
            let addresses = ips
                .iter()
                .map(|ip| {
                    ip.parse()
                        .map_err(|_| at.value(format!("{ip:?}, of {name:?}, is not an IP address")))
                })
                .collect::<Result<_, _>>()?;
            Ok((name.into(), addresses))
        })
        .collect::<Result<_, _>>()?;
    Ok(NameTable { hosts })
}
