//! Namespaces around a whole sandbox, as an ordinary user makes them.
//!
//! ```text
//! outside: the process that the user started     inside: the same program once more, as the first process of the world
//!   a user and a process namespace                 network, mounts: API server, node, controllers
//!   passes signals on, makes sockets on request    pods
//! ```
//!
//! The process outside stays in this machine's network: the sockets that it makes are how the world is reached from this machine, and how it
//! reaches others. All ends with either process: the kernel ends a process namespace with its first process.

mod host;
mod inside;
mod outside;
mod probe;

pub use host::HostSockets;
pub use probe::main as probe;

/// Which back end is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Namespaces where the kernel allows them.
    #[default]
    Best,
    Namespaces,
    Loopback,
}

/// Where the program goes on.
pub enum Entry {
    /// In a world of its own.
    Inside(Inside),
    /// Without one; why, unless it was asked for.
    Loopback(Option<String>),
    /// The sandbox ran inside, and has ended with this code.
    Ended(u8),
}

/// The world as the process inside knows it.
#[derive(Clone, Debug)]
pub struct Inside {
    pub sockets: HostSockets,
    /// The process outside, as others on this machine know it.
    pub process: i32,
    /// When that process started.
    pub started: Option<String>,
}

/// Enters a world, when that is wanted and possible. To be called while the process has one thread.
///
/// # Errors
/// When namespaces are asked for and the system refuses them, or the process inside cannot be started.
pub fn enter(choice: Choice) -> anyhow::Result<Entry> {
    if let Some(inside) = inside::arrive()? {
        return Ok(Entry::Inside(inside));
    }
    if choice == Choice::Loopback {
        return Ok(Entry::Loopback(None));
    }
    match (probe::refusal(), choice) {
        (None, _) => outside::run().map(Entry::Ended),
        (Some(why), Choice::Namespaces) => {
            anyhow::bail!("pods in namespaces are not possible here: {why}")
        }
        (Some(why), _) => Ok(Entry::Loopback(Some(why))),
    }
}

/// True in the process that another one has started to be inside.
pub fn is_inside() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// The variable that tells the process inside where it finds the one outside.
const VARIABLE: &str = "MESHCTL_SANDBOX_WORLD";
