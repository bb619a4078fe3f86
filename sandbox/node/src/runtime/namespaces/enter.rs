//! Namespaces of the kernel by their descriptors, and threads that work in them.
//!
//! Namespaces belong to threads. Whatever is to happen in a pod happens on a thread of its own, which enters and then ends; a process that
//! it starts is born where the thread is.

use std::fs::File;
use std::io;

use nix::sched::{CloneFlags, setns, unshare};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Runs some work on a thread that nothing else uses, within the runtime.
pub async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Handle::current();
    std::thread::Builder::new()
        .name("namespaces".to_owned())
        .spawn(move || {
            let _entered = runtime.enter();
            // Whoever asked may have gone.
            let _ = sender.send(work());
        })?;
    let ended = || io::Error::other("the thread in the pod's namespaces ended early");
    receiver.await.unwrap_or_else(|_| Err(ended()))
}

/// What the containers of a pod share.
#[derive(Debug)]
pub struct Shared {
    network: File,
    names: File,
    ipc: File,
}

// === impl Shared ===

impl Shared {
    /// Makes new ones for this thread.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn make() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)?;
        Ok(Self {
            network: own("net")?,
            names: own("uts")?,
            ipc: own("ipc")?,
        })
    }

    /// Moves this thread into them.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter(&self) -> io::Result<()> {
        let Self {
            network,
            names,
            ipc,
        } = self;
        setns(network, CloneFlags::CLONE_NEWNET)?;
        setns(names, CloneFlags::CLONE_NEWUTS)?;
        setns(ipc, CloneFlags::CLONE_NEWIPC)?;
        Ok(())
    }

    /// Moves this thread into the network alone.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter_network(&self) -> io::Result<()> {
        Ok(setns(&self.network, CloneFlags::CLONE_NEWNET)?)
    }
}

/// Gives this thread a tree of mounts of its own, to change.
///
/// # Errors
/// Where the kernel refuses.
pub fn make_mounts() -> io::Result<File> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    own("mnt")
}

/// Moves this thread into a tree of mounts, whose root becomes its root.
///
/// # Errors
/// Where the kernel refuses.
pub fn enter_mounts(mounts: &File) -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    Ok(setns(mounts, CloneFlags::CLONE_NEWNS)?)
}

/// Lets the next process of this thread be the first of a new process namespace, which ends with it.
///
/// # Errors
/// Where the kernel refuses.
pub fn make_processes() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWPID)?)
}

/// Lets the processes of this thread be born among others.
///
/// # Errors
/// Where the kernel refuses.
pub fn enter_processes(processes: &File) -> io::Result<()> {
    Ok(setns(processes, CloneFlags::CLONE_NEWPID)?)
}

/// The process namespace of a process.
///
/// # Errors
/// When there is no such process any more.
pub fn processes_of(process: i32) -> io::Result<File> {
    File::open(format!("/proc/{process}/ns/pid"))
}

fn own(kind: &str) -> io::Result<File> {
    File::open(format!("/proc/thread-self/ns/{kind}"))
}
