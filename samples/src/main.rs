//! `mesh-samples PROGRAM [ARGS...]`: runs one sample program in the foreground.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use mesh_samples::{Config, images, names, programs, run};
use tracing_subscriber::EnvFilter;

/// Exit code for a wrong command line, as in sysexits.h.
const EX_USAGE: u8 = 64;

/// Where images have this program.
const BINARY: &str = "/usr/local/bin/mesh-samples";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("-h" | "--help") => {
            print(&usage());
            ExitCode::SUCCESS
        }
        Some("--images") => match (args.next(), args.next()) {
            (Some(hub), Some(tag)) => {
                let lines = images(&hub, &tag).into_iter();
                let lines = lines.map(|(image, program)| format!("{image} {BINARY} {program}\n"));
                print(&lines.collect::<String>());
                ExitCode::SUCCESS
            }
            _ => {
                complain("error: --images needs a hub and a tag\n");
                ExitCode::from(EX_USAGE)
            }
        },
        Some(name) if names().contains(&name) => match serve(name, args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("error: {error:#}\n"));
                ExitCode::FAILURE
            }
        },
        Some(name) => {
            complain(&format!(
                "error: there is no sample program {name:?}\n\n{}",
                usage()
            ));
            ExitCode::from(EX_USAGE)
        }
        None => {
            complain(&usage());
            ExitCode::from(EX_USAGE)
        }
    }
}

fn serve(name: &str, args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let config = Config::from_env()?.with_args(args);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(run(name, config))
}

fn usage() -> String {
    let mut text = String::from("Usage: mesh-samples PROGRAM [ARGS...]\n\nPrograms:\n");
    for program in programs() {
        let (name, port, about) = (program.name, program.port, program.about);
        text.push_str(&format!("  {name:<14} {port:>5}  {about}\n"));
    }
    text.push_str(
        "\nEnvironment: MESH_BIND_ADDRESS, PORT, http_proxy, MESH_HOSTS, SERVICE_VERSION, RUST_LOG\n",
    );
    text
}

/// Writes to stdout. A reader that has gone is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
