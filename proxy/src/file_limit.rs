//! The limit of open files, which every connection counts against.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as the process may: the usual one is meant for programs that hold a few files.
pub(crate) fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "failed to raise the limit of open files; fewer clients can connect");
    }
}

/// The limit in force.
pub(crate) fn current() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// How many connections clients may have: one file is kept back for each, for the endpoint that serves it, and a share for everything else, so
/// that those that are there can always be served.
pub(crate) fn client_connections(limit: u64) -> usize {
    let others = (limit / 4).clamp(32, 1024);
    let clients = (limit.saturating_sub(others) / 2).max(1);
    usize::try_from(clients).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_leaves_a_file_for_its_endpoint() {
        for (limit, clients) in [
            (0, 1),
            (64, 16),
            (1024, 384),
            (65_536, 32_256),
            (1 << 20, 523_776),
        ] {
            assert_eq!(client_connections(limit), clients, "{limit}");
        }
        assert!(client_connections(u64::MAX) > 1 << 40);
        assert!(current() > 0);
    }
}
