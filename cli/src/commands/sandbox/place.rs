//! `--backend`: where pods run.

use clap::ValueEnum;
use mesh_sandbox::world::{self, Choice, Entry};

use crate::context::Context;

/// Where pods run.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Where pods run: in namespaces of the kernel, or as processes that share this machine's loopback network
    #[arg(
        long,
        value_name = "BACKEND",
        env = "MESHCTL_SANDBOX_BACKEND",
        hide_env_values = true,
        default_value = "auto"
    )]
    backend: Backend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// Namespaces where the kernel allows them, else loopback
    Auto,
    Namespaces,
    Loopback,
}

// === impl Place ===

impl Place {
    /// Enters the place, leaving the terminal's session before when this is the process in the background.
    pub fn enter(&self, background: bool, context: &Context) -> anyhow::Result<Entry> {
        if background && !world::is_inside() {
            mesh_sandbox::begin_background()?;
        }
        let choice = match self.backend {
            Backend::Auto => Choice::Best,
            Backend::Namespaces => Choice::Namespaces,
            Backend::Loopback => Choice::Loopback,
        };
        let entry = world::enter(choice)?;
        if let Entry::Loopback(Some(why)) = &entry {
            context.printer.note(&format!(
                "pods share this machine's loopback network: {why}"
            ));
        }
        Ok(entry)
    }

    /// The words of a command line that say the same.
    pub fn words(&self) -> [&'static str; 2] {
        let name = match self.backend {
            Backend::Auto => "auto",
            Backend::Namespaces => "namespaces",
            Backend::Loopback => "loopback",
        };
        ["--backend", name]
    }
}
