//! Istio's name table (NDS), one for each namespace of services.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{NameTable, NamedHost};

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
    /// Name of the Service; clients derive its short forms.
    #[prost(string, tag = "3")]
    shortname: String,
    #[prost(string, tag = "4")]
    namespace: String,
}

pub(super) fn to_proto(value: &NameTable) -> Proto {
    let NameTable { namespace, hosts } = value;
    let table = hosts.iter().map(|(name, host)| {
        let NamedHost { addresses, service } = host;
        let info = NameInfo {
            ips: addresses.iter().map(ToString::to_string).collect(),
            registry: String::new(),
            shortname: service.as_deref().unwrap_or_default().to_owned(),
            namespace: namespace.to_string(),
        };
        (name.to_string(), info)
    });
    Proto {
        table: table.collect(),
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<NameTable, InvalidResource> {
    let at = at.field("table");
    let Proto { table } = proto;
    let mut of: Option<Arc<str>> = None;
    let mut hosts = BTreeMap::new();
    for (name, info) in table {
        let NameInfo {
            ips,
            registry: _,
            shortname,
            namespace,
        } = info;
        let known = of.get_or_insert_with(|| namespace.as_str().into());
        if **known != *namespace {
            let message =
                format!("{name:?} is of the namespace {namespace:?}, others are of {known:?}");
            return Err(at.value(message));
        }
        let address = |ip: &String| {
            ip.parse()
                .map_err(|_| at.value(format!("{ip:?}, of {name:?}, is not an IP address")))
        };
        let host = NamedHost {
            addresses: ips.iter().map(address).collect::<Result<_, _>>()?,
            service: (!shortname.is_empty()).then(|| shortname.into()),
        };
        hosts.insert(name.into(), host);
    }
    Ok(NameTable {
        namespace: of.unwrap_or_default(),
        hosts,
    })
}
