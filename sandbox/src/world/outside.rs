//! The process outside.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getegid, geteuid};
use tokio::net::UnixListener;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::{VARIABLE, host};

/// How long the process inside gets to connect.
const ARRIVAL: Duration = Duration::from_secs(20);

/// Starts this program once more inside a world, and stays until that has ended.
pub fn run() -> anyhow::Result<u8> {
    let meeting = tempfile::tempdir().context("failed to make a directory for a socket")?;
    let path = meeting.path().join("world");
    make_room().context("failed to make the sandbox's namespaces")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(attend(&path, meeting))
}

/// Makes the namespaces that the next process is the first in: of processes, and of users where this one may not do it otherwise.
pub fn make_room() -> std::io::Result<()> {
    if geteuid().is_root() && unshare(CloneFlags::CLONE_NEWPID).is_ok() {
        return Ok(());
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)?;
    // One user and one group: more need the help of a program with more rights.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// No thread is started here: a process whose children are born elsewhere may not have any.
async fn attend(path: &Path, meeting: tempfile::TempDir) -> anyhow::Result<u8> {
    let listener = UnixListener::bind(path).context("failed to listen for the world")?;
    // Caught before there is anyone to tell.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let own = std::process::id();
    let started = mesh_node::start_time(Pid::this()).unwrap_or_default();
    let exe = crate::engine::lasting_executable()?;
    let mut inside = Command::new(exe)
        .arg0(std::env::args_os().next().unwrap_or_default())
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, format!("{own} {started} {}", path.display()))
        // What a terminal sends comes by this process alone, so that it comes once.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the sandbox in its namespaces")?;
    let arrival = async {
        let lifeline = listener.accept().await?.0;
        let requests = listener.accept().await?.0;
        std::io::Result::Ok((lifeline, requests))
    };
    let (lifeline, requests) = tokio::select! {
        arrived = tokio::time::timeout(ARRIVAL, arrival) => {
            arrived.context("the sandbox did not start in time")??
        }
        status = inside.wait() => return Ok(exit_code(status?)),
    };
    drop(meeting);
    let sockets = host::serve(requests);
    tokio::pin!(sockets);
    let mut are_asked = true;
    let status = loop {
        tokio::select! {
            status = inside.wait() => break status?,
            () = &mut sockets, if are_asked => are_asked = false,
            _ = interrupt.recv() => tell(&inside, Signal::SIGINT),
            _ = terminate.recv() => tell(&inside, Signal::SIGTERM),
            _ = hangup.recv() => tell(&inside, Signal::SIGTERM),
        }
    };
    drop(lifeline);
    Ok(exit_code(status))
}

fn tell(inside: &Child, signal: Signal) {
    let process = inside.id().and_then(|id| i32::try_from(id).ok());
    if let Some(process) = process {
        let _ = kill(Pid::from_raw(process), signal);
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(1)
}
