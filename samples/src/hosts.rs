//! Names from a file in the format of `/etc/hosts`, for places without a cluster DNS.

use std::net::IpAddr;

/// The first address that `text` gives for `name`. Names compare without regard to case and to a
/// final dot; `#` starts a comment; lines that are not understood are passed over.
pub(crate) fn lookup(text: &str, name: &str) -> Option<IpAddr> {
    let name = name.trim_end_matches('.');
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words
            .any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name))
            .then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::lookup;

    const HOSTS: &str = "# services\n127.3.0.1 ratings ratings.default # v1\n\nnonsense line\n\
                         127.3.0.2\treviews reviews.default.svc.cluster.local\n";

    #[test]
    fn finds_names_and_passes_over_noise() {
        let found = |name| lookup(HOSTS, name).map(|address| address.to_string());
        assert_eq!(found("ratings").as_deref(), Some("127.3.0.1"));
        assert_eq!(
            found("Reviews.default.svc.cluster.local.").as_deref(),
            Some("127.3.0.2")
        );
        assert_eq!(found("v1"), None);
        assert_eq!(found("rating"), None);
    }
}
