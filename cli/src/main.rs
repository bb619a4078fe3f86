//! `meshctl`: one command line for the whole mesh. This room only opens doors.
//!
//! ```text
//! words -> args (parse only) -> commands (one room each) -> Exit
//!                                  |- context: which cluster, which namespace
//!                                  |- printer: stdout is data, stderr is talk
//!                                  |- reporter: progress of long work
//!                                  '- portforward: HTTP to pods through the Kubernetes API
//! ```

mod apply;
mod args;
mod asked;
mod commands;
mod context;
mod exit;
mod failure;
mod gather;
mod input;
mod mesh;
mod objects;
mod output_file;
mod portforward;
mod printer;
mod reporter;
mod runtime;
mod snippet;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == "builtin") {
        // Pods of the sandbox start by this word, many at a time: nothing else may happen before.
        return mesh_sandbox::builtin::main(words.collect());
    }
    commands::main(std::env::args_os()).into()
}
