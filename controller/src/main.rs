//! `mesh-controller discovery ...`: the control plane as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh_controller::main(std::env::args_os().skip(1).collect())
}
