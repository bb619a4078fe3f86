//! The world of a sandbox: the namespaces in which its node, its API server and all of its pods are.
//!
//! ```text
//!            10.96.0.0/12 ClusterIPs: rewritten here to endpoints, see `ruleset`
//! pod eth0 --- podN   world   podM --- eth0 pod
//!            10.244.0.1 the node, 10.96.0.10 the DNS server, both on lo
//! ```
//!
//! Every pod has a cable of its own, so that all between pods goes through the world's routing and its rules.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::{ruleset, tools};

/// The node's address, and the gateway of every pod.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// The address of the DNS server.
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The range of ClusterIPs.
pub const SERVICE_RANGE: &str = "10.96.0.0/12";

/// Makes the world around this process, which must have one thread, be the first of its process namespace, and be allowed to.
///
/// # Errors
/// A step that the kernel or a program of the system refuses, by name.
pub fn make() -> Result<(), WorldError> {
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    step("making namespaces", unshare(flags))?;
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    step("detaching mounts", mount(none, "/", none, private, none))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step(
        "mounting /proc",
        mount(Some("proc"), "/proc", Some("proc"), flags, none),
    )?;
    let forward = std::fs::write("/proc/sys/net/ipv4/ip_forward", "1");
    step("forwarding packets", forward)?;
    let network = format!(
        "link set lo up\n\
         addr add {NODE}/32 dev lo\n\
         addr add {DNS}/32 dev lo\n\
         route add {SERVICE_RANGE} dev lo src {NODE}\n"
    );
    step("setting the network up", tools::ip(&network))?;
    step("setting rules", tools::nft(&ruleset::render(&[])))
}

/// Keeps a file at another path, whatever becomes of the first.
///
/// # Errors
/// When it cannot be mounted there.
pub fn keep(file: &Path, at: &Path) -> io::Result<()> {
    std::fs::write(at, "")?;
    let none = None::<&str>;
    Ok(mount(Some(file), at, none, MsFlags::MS_BIND, none)?)
}

/// Gives a path back that a file was kept at.
pub fn release(at: &Path) {
    if let Err(error) = umount2(at, MntFlags::MNT_DETACH) {
        tracing::debug!(path = %at.display(), %error, "failed to unmount a file");
    }
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step} failed: {error}")]
pub struct WorldError {
    step: &'static str,
    error: io::Error,
}

fn step(step: &'static str, outcome: Result<(), impl Into<io::Error>>) -> Result<(), WorldError> {
    outcome.map_err(|error| WorldError {
        step,
        error: error.into(),
    })
}
