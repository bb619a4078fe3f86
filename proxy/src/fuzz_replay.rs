//! The corpus of the fuzz targets, as it is and with changes that are the same each time.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[path = "../../tests/fuzz/targets.rs"]
mod targets;

/// Changes of each file.
const CHANGES: u32 = 64;

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fuzz/corpus")
        .join(name);
    let entries = std::fs::read_dir(&folder).unwrap();
    let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    let config = Config {
        cases: CHANGES,
        failure_persistence: None,
        ..Config::default()
    };
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        target(&bytes);
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        let change = (any::<prop::sample::Index>(), any::<u8>());
        let changes = (
            prop::collection::vec(change, 1..4),
            any::<prop::sample::Index>(),
            any::<bool>(),
        );
        let run = runner.run(&changes, |(changes, end, is_cut)| {
            let mut bytes = bytes.clone();
            for (at, byte) in changes
                .iter()
                .filter(|_| !bytes.is_empty())
                .collect::<Vec<_>>()
            {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if is_cut {
                bytes.truncate(end.index(bytes.len() + 1));
            }
            target(&bytes);
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

#[test]
fn heads_of_requests() {
    replay("request_head", targets::request_head);
}

#[test]
fn heads_of_responses() {
    replay("response_head", targets::response_head);
}

#[test]
fn chunks() {
    replay("chunked_body", targets::chunked_body);
}

#[test]
fn client_hellos() {
    replay("client_hello", targets::client_hello);
}

#[test]
fn resources() {
    replay("xds", targets::xds);
}
