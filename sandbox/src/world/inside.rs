//! The process inside.

use std::io::Read;
use std::os::unix::net::UnixStream;

use anyhow::{Context, anyhow};
use mesh_node::namespaces::world;
use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::{HostSockets, Inside, VARIABLE};

/// Makes the world, in the process that the one outside has started; nothing in every other process.
pub fn arrive() -> anyhow::Result<Option<Inside>> {
    let Some(text) = std::env::var_os(VARIABLE) else {
        return Ok(None);
    };
    let text = text.into_string().unwrap_or_default();
    let mut words = text.splitn(3, ' ');
    let mut word = || {
        let word = words.next().map(str::to_owned);
        word.ok_or_else(|| anyhow!("{VARIABLE} is {text:?}, which no sandbox has set"))
    };
    let (process, started, path) = (word()?, word()?, word()?);
    prctl::set_pdeathsig(Signal::SIGKILL).context("failed to be bound to the process outside")?;
    let connect = || UnixStream::connect(&path).context("failed to reach the process outside");
    let (lifeline, requests) = (connect()?, connect()?);
    world::make().context("failed to make the sandbox's namespaces")?;
    end_with(lifeline)?;
    Ok(Some(Inside {
        sockets: HostSockets::by(requests)?,
        process: process
            .parse()
            .with_context(|| format!("{VARIABLE} names no process"))?,
        started: Some(started).filter(|started| !started.is_empty()),
    }))
}

/// Ends this process, and so the world, when the one outside has gone.
fn end_with(mut lifeline: UnixStream) -> anyhow::Result<()> {
    let watch = std::thread::Builder::new().name("lifeline".to_owned());
    watch.spawn(move || {
        // Nothing is ever sent.
        let _ = lifeline.read(&mut [0]);
        #[expect(clippy::exit, reason = "nobody is left to end for in order")]
        std::process::exit(1)
    })?;
    Ok(())
}
