//! Asking before something big happens. Only people at terminals are asked; programs say `-y`.

use std::io::{self, IsTerminal as _};

use crate::context::Context;
use crate::failure;

/// Makes sure that there is somebody who can be asked.
pub fn check_terminal() -> anyhow::Result<()> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    Err(failure::usage(
        "standard input is not a terminal, so nobody can be asked; give -y to go ahead",
    ))
}

/// Asks; anything but a clear yes is a no, which is told.
pub fn confirm(context: &Context, question: &str) -> anyhow::Result<bool> {
    context.printer.talk(&format!("{question} Proceed? (y/N) "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes" | "Yes");
    if !yes {
        context.printer.note("Cancelled.");
    }
    Ok(yes)
}
