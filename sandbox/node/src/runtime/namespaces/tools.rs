//! The programs of the system that set networks up.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// Where administrators' programs lie, which the path of ordinary users does not always name.
const PLACES: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// Runs `ip` with one command on each line.
///
/// # Errors
/// When it cannot be run, or what it complains about.
pub fn ip(lines: &str) -> io::Result<()> {
    run("ip", &["-batch", "-"], lines)
}

/// Has `nft` carry out a rule set, whole or not at all.
///
/// # Errors
/// When it cannot be run, or what it complains about.
pub fn nft(rules: &str) -> io::Result<()> {
    run("nft", &["-f", "-"], rules)
}

fn run(program: &str, arguments: &[&str], input: &str) -> io::Result<()> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:{PLACES}"))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run {program}: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let Output { status, stderr, .. } = child.wait_with_output()?;
    if status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&stderr);
    let line = complaint.lines().next().unwrap_or_default().trim();
    Err(io::Error::other(format!("{program} failed: {line}")))
}
