//! The README's first command.

use mesh_tests::meshctl;

use crate::chance::check;
use crate::namespaces::is_possible;
use crate::sandbox::{directory, succeeded};

#[test]
fn the_demo_tells_how_many_pages_showed_red_stars() {
    for backend in ["loopback", "namespaces"] {
        if backend == "loopback" || is_possible() {
            demo(backend);
        }
    }
}

fn demo(backend: &str) {
    let state = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let mut command = meshctl(state.path());
        command.env("MESHCTL_SANDBOX", "demo").args(words);
        command.output().unwrap()
    };
    let output = run(&["sandbox", "demo", "--backend", backend]);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = run(&["sandbox", "status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
    // Whatever it says, it must not go on after this test.
    let down = run(&["sandbox", "down"]);
    let line = succeeded(&output);
    succeeded(&down);
    let (red, rest) = line.split_once(" of 100 requests").expect("a count");
    assert_eq!(rest, " to the product page showed red stars\n");
    check("half of the pages", red.parse().unwrap(), 100, 0.5);
    assert!(talk.contains("acknowledged by all"), "{talk}");
    assert_eq!(status["backend"], backend);
    assert!(!directory(state.path(), "demo").exists());
}
