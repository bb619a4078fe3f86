//! The rules in real network namespaces: which connections arrive where.
//!
//! ```text
//! test --unshare--> pod: the rules, and what listens at 15001, 15006 and 8080 --veth-- peer: has every other address, and listens nowhere
//! ```
//!
//! The pod's namespace is made by this program, which starts itself again inside. An ordinary user becomes root of a user namespace in
//! which there are no other users: only for root there are connections of the proxy.

mod pod;

use std::process::{Command, Stdio};

use pod::SCENARIO;

/// Runs one scenario of [`pod`] in a namespace of its own.
#[track_caller]
fn in_namespace(scenario: &str) {
    let flags: &[&str] = match pod::is_root() {
        true => &["--net"],
        false => &["--user", "--map-root-user", "--net"],
    };
    let this = std::env::current_exe().expect("a test has a path");
    let output = Command::new("unshare")
        .args(flags)
        .arg("--")
        .arg(this)
        .args(["--exact", "inside", "--ignored", "--nocapture"])
        .env("RUST_BACKTRACE", "0")
        .env(SCENARIO, scenario)
        .env(pod::PRIVILEGED, pod::is_root().to_string())
        .stdin(Stdio::null())
        .output()
        .expect("unshare of util-linux is needed");
    assert!(
        output.status.success(),
        "{scenario}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// No test by itself: what the others start inside.
#[test]
#[ignore = "started by the other tests, inside a namespace"]
fn inside() {
    if let Ok(scenario) = std::env::var(SCENARIO) {
        pod::run(&scenario);
    }
}

#[test]
fn nftables_redirects_both_directions() {
    in_namespace("nftables");
}

#[test]
fn iptables_redirects_both_directions() {
    in_namespace("iptables");
}

#[test]
fn rules_are_made_anew_and_removed() {
    in_namespace("again");
}

#[test]
fn what_is_excluded_is_left_alone() {
    in_namespace("exclusions");
}

#[test]
fn dns_goes_to_the_proxy() {
    in_namespace("dns");
}
