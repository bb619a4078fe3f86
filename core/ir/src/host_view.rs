//! What is different for a program in a pod of the sandbox, as its node tells it.
//!
//! In a cluster none of it is set, and every program is as it would be without. Read once, where a program starts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Ports below this cannot be bound by ordinary users, as a rule.
const FIRST_FREE_PORT: u16 = 1024;

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// Where the container's files are found (`MESH_ROOT`); `/` where it has a root of its own.
    pub root: PathBuf,
    /// Where a program's own pages listen (`MESH_BIND_ADDRESS`); none for the usual address of each.
    pub bind: Option<IpAddr>,
    /// What is added to ports below 1024 of loopback addresses, when they are bound or connected to (`MESH_LOW_PORT_OFFSET`).
    pub low_port_offset: u16,
    /// A hosts file with the names of Services, where there is no DNS (`MESH_HOSTS`).
    pub hosts: Option<PathBuf>,
    /// The addresses that stand for the pod where nothing redirects its traffic (`MESH_POD_ADDRESS`, `MESH_APP_ADDRESS`).
    pub addresses: Option<PodAddresses>,
    /// By what the proxy's packets are told from the application's, where both have the same user (`MESH_PROXY_MARK`).
    pub proxy_mark: Option<u32>,
}

/// The addresses that stand for a pod on a shared network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodAddresses {
    /// The pod's, which its proxy holds.
    pub pod: IpAddr,
    /// The application's.
    pub app: IpAddr,
}

// === impl HostView ===

impl Default for HostView {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            bind: None,
            low_port_offset: 0,
            hosts: None,
            addresses: None,
            proxy_mark: None,
        }
    }
}

impl HostView {
    /// The view that variables tell, and sentences about those that cannot be understood. Empty variables count as unset.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut mistakes = Vec::new();
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
        let (pod, app) = (
            parsed(&text, "MESH_POD_ADDRESS", "an IP address", &mut mistakes),
            parsed(&text, "MESH_APP_ADDRESS", "an IP address", &mut mistakes),
        );
        let addresses = match (pod, app) {
            (Some(pod), Some(app)) => Some(PodAddresses { pod, app }),
            (None, None) => None,
            _ => {
                mistakes.push(
                    "MESH_POD_ADDRESS and MESH_APP_ADDRESS belong together: set both or none"
                        .to_owned(),
                );
                None
            }
        };
        let offset = parsed(
            &text,
            "MESH_LOW_PORT_OFFSET",
            "a whole number below 64512",
            &mut mistakes,
        );
        let view = Self {
            root: text("MESH_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from),
            bind: parsed(&text, "MESH_BIND_ADDRESS", "an IP address", &mut mistakes),
            // An offset that leads out of the range of ports is none.
            low_port_offset: offset
                .filter(|offset| *offset <= u16::MAX - FIRST_FREE_PORT)
                .unwrap_or(0),
            hosts: text("MESH_HOSTS").map(PathBuf::from),
            addresses,
            proxy_mark: parsed(
                &text,
                "MESH_PROXY_MARK",
                "a whole number other than 0",
                &mut mistakes,
            )
            .filter(|mark| *mark != 0),
        };
        (view, mistakes)
    }

    /// Where a path of the container is found.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The address to use on a socket for an address of the mesh.
    pub fn at_socket(&self, address: SocketAddr) -> SocketAddr {
        let mut address = address;
        if (1..FIRST_FREE_PORT).contains(&address.port()) && address.ip().is_loopback() {
            address.set_port(address.port().saturating_add(self.low_port_offset));
        }
        address
    }

    /// The address to bind for a listener's: where a pod has addresses of a shared network, every address is its own.
    pub fn to_bind(&self, address: SocketAddr) -> SocketAddr {
        let pod = self.addresses.map(|addresses| addresses.pod);
        let bind = pod.filter(|_| address.ip().is_unspecified());
        self.at_socket(SocketAddr::new(
            bind.unwrap_or(address.ip()),
            address.port(),
        ))
    }
}

fn parsed<T: std::str::FromStr>(
    text: &impl Fn(&str) -> Option<String>,
    name: &str,
    expected: &str,
    mistakes: &mut Vec<String>,
) -> Option<T> {
    let text = text(name)?;
    let value = text.parse().ok();
    if value.is_none() {
        mistakes.push(format!("{name} is {text:?}, expected {expected}"));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (HostView, Vec<String>) {
        HostView::read(|name| {
            let mut known = variables.iter();
            known
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_different_in_a_cluster() {
        let (view, mistakes) = read(&[("HOME", "/root"), ("MESH_ROOT", "")]);
        assert_eq!((view, mistakes), (HostView::default(), vec![]));
        let view = HostView::default();
        let low: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!((view.at_socket(low), view.to_bind(low)), (low, low));
        assert_eq!(view.path("/etc/certs"), PathBuf::from("/etc/certs"));
    }

    #[test]
    fn a_shared_network_moves_addresses_and_low_ports() {
        let (view, mistakes) = read(&[
            ("MESH_ROOT", "/state/root"),
            ("MESH_BIND_ADDRESS", "127.8.0.5"),
            ("MESH_LOW_PORT_OFFSET", "20000"),
            ("MESH_POD_ADDRESS", "127.8.0.5"),
            ("MESH_APP_ADDRESS", "127.8.64.5"),
        ]);
        assert_eq!(mistakes, Vec::<String>::new());
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        for (asked, bound) in [
            ("0.0.0.0:80", "127.8.0.5:20080"),
            ("0.0.0.0:8080", "127.8.0.5:8080"),
            ("127.8.0.9:0", "127.8.0.9:0"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(view.to_bind(address(asked)), address(bound), "{asked}");
        }
        assert_eq!(view.path("/etc/a"), PathBuf::from("/state/root/etc/a"));
    }

    #[test]
    fn every_mistake_is_told() {
        let (_, mistakes) = read(&[
            ("MESH_BIND_ADDRESS", "here"),
            ("MESH_POD_ADDRESS", "127.0.0.1"),
            ("MESH_PROXY_MARK", "x"),
        ]);
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }
}
