//! The addresses of the control plane: from the sandbox's hosts file where there is one, else from the system.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The addresses of a name, in the order in which they are tried.
pub(super) async fn resolve(
    host: &str,
    port: u16,
    hosts: Option<&Path>,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if let Some(path) = hosts {
        // Read anew for each connection, since services come and go; it is small and local.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let found = addresses(&text, host);
        if !found.is_empty() {
            return Ok(found
                .into_iter()
                .map(|address| SocketAddr::new(address, port))
                .collect());
        }
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    if found.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(found)
}

/// The addresses that a hosts file gives a name.
fn addresses(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.');
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|name| name.eq_ignore_ascii_case(host))
                .then_some(address)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_files_are_understood() {
        let text = "# 127.0.0.9 a\n127.0.0.1 b a # c\n\nx a\n::1 A.\n127.0.0.2 a\n";
        let found = addresses(text, "a.");
        assert_eq!(
            found,
            [
                "127.0.0.1".parse::<IpAddr>().unwrap(),
                [127, 0, 0, 2].into()
            ]
        );
        assert!(addresses(text, "c").is_empty());
    }
}
