//! Ports below 1024 for ordinary users.
//!
//! An ordinary user may bind any address of 127.0.0.0/8 but no port below `net.ipv4.ip_unprivileged_port_start`
//! (usually 1024). The rule of the loopback back end, applied at the socket and nowhere else: where such a port cannot
//! be bound, port P of any of the sandbox's addresses is found at P + 20000 of that address. Specs, Services,
//! EndpointSlices and the proxies' configuration keep the true number; only `bind` and `connect` add the offset. Our
//! programs learn it from the variable `MESH_LOW_PORT_OFFSET` (unset or 0: low ports can be bound as they are).

use std::net::{Ipv4Addr, TcpListener};

/// The variable that tells programs the offset.
pub const VARIABLE: &str = "MESH_LOW_PORT_OFFSET";

const OFFSET: u16 = 20_000;
const FIRST_FREE: u16 = 1024;

/// Where low ports are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowPorts {
    offset: u16,
}

impl LowPorts {
    /// Tries whether this process may bind low ports of an address. A port that is taken proves that it may not be
    /// known from that one, so several are tried.
    pub fn detect(address: Ipv4Addr) -> Self {
        let refused = (1..=16).any(|port| {
            let outcome = TcpListener::bind((address, port));
            matches!(outcome, Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
        });
        Self {
            offset: if refused { OFFSET } else { 0 },
        }
    }

    /// What the node said in this process's environment.
    pub fn from_env() -> Self {
        let offset = std::env::var(VARIABLE)
            .ok()
            .and_then(|text| text.parse().ok());
        // An offset that leads out of the range of ports is none.
        Self {
            offset: offset
                .filter(|offset| *offset <= u16::MAX - FIRST_FREE)
                .unwrap_or(0),
        }
    }

    /// The offset, 0 when low ports can be bound.
    pub fn offset(self) -> u16 {
        self.offset
    }

    /// The port to use on the socket.
    pub fn at_socket(self, port: u16) -> u16 {
        if port < FIRST_FREE {
            port + self.offset
        } else {
            port
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_low_ports_move() {
        let moved = LowPorts { offset: OFFSET };
        assert_eq!(
            [80, 1023, 1024, 8080].map(|port| moved.at_socket(port)),
            [20080, 21023, 1024, 8080]
        );
        let free = LowPorts { offset: 0 };
        assert_eq!(free.at_socket(80), 80);
    }
}
