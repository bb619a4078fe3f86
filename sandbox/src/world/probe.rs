//! Whether namespaces are possible here, found out by making some: a process of its own does it, and says what failed.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use mesh_node::namespaces::world;

use super::outside::make_room;

/// The word after `builtin` that asks for the process.
const WORD: &str = "probe-namespaces";

/// The word for its first process inside.
const INSIDE: &str = "inside";

/// Why namespaces are not possible here; nothing when they are.
pub fn refusal() -> Option<String> {
    run(&[]).err()
}

fn run(words: &[&str]) -> Result<(), String> {
    let exe = crate::own_executable().map_err(|error| error.to_string())?;
    let output = Command::new(exe)
        .args(["builtin", WORD])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("failed to try: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next().unwrap_or("the trial ended early");
    Err(line.to_owned())
}

/// Runs the process.
pub fn main(words: &[std::ffi::OsString]) -> ExitCode {
    let outcome = match words.first() {
        Some(word) if word == INSIDE => world::make().map_err(|error| error.to_string()),
        _ => make_room()
            .map_err(|error| format!("the kernel refuses user namespaces: {error}"))
            .and_then(|()| run(&[INSIDE])),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Nobody to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}
