//! `mesh-sandbox builtin PROGRAM ARGS...`: the programs that the sandbox's node starts, without the command line
//! around them. Tests of this crate run pods with it.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh_sandbox::builtin::main(std::env::args_os().skip(1).collect())
}
