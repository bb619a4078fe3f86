//! `/memory`: what the system says about the process. What only Envoy's allocator has is left out.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::{Ask, Page, State};

/// Where the kernel tells it.
const STATUS: &str = "/proc/self/status";

/// Envoy's names, and the kernel's.
const ROWS: [(&str, &str); 3] = [
    ("allocated", "RssAnon"),
    ("heap_size", "VmData"),
    ("total_physical_bytes", "VmRSS"),
];

pub(super) fn page(_: &State, _: &Ask) -> Page {
    match std::fs::read_to_string(STATUS) {
        Ok(status) => Page::json(&json!(values(&status))),
        Err(error) => Page::error(
            StatusCode::NOT_IMPLEMENTED,
            format!("this system does not tell: failed to read {STATUS}: {error}"),
        ),
    }
}

/// Bytes, as the texts that protobuf's JSON makes of large numbers.
fn values(status: &str) -> BTreeMap<&'static str, Value> {
    let find = |name: &str| {
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some((kilobytes << 10).to_string().into())
    };
    let rows = ROWS.iter();
    rows.filter_map(|(name, row)| Some((*name, find(row)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_become_bytes() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t       1 kB\nThreads:\t3\n";
        let values = values(status);
        let expected = [("allocated", "1024"), ("total_physical_bytes", "2097152")];
        let expected = expected.map(|(name, value)| (name, Value::from(value)));
        assert_eq!(values, BTreeMap::from(expected));
    }
}
