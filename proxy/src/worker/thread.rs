//! The thread of one worker: it listens as it is told, and serves what it accepts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use super::local::Worker;
use super::{Shared, connection};

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Accept connections of a listener, instead of those that it may have accepted so far.
    Listen(Arc<str>, std::net::TcpListener),
    /// Accept no more connections of a listener.
    Stop(Arc<str>),
    /// Accept no more connections, and let those that there are end.
    Drain,
}

/// How long to wait when no connection can be accepted, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Runs a worker until nobody tells it anything any more.
///
/// # Errors
/// When the thread's runtime cannot be built.
pub fn run(shared: Arc<Shared>, commands: UnboundedReceiver<Command>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Looking at sockets after every task costs more than it gains: what is ready is served in one go.
        .event_interval(61)
        .build_local(LocalOptions::default())?;
    runtime.block_on(obey(Worker::new(shared), commands));
    Ok(())
}

async fn obey(worker: Rc<Worker>, commands: UnboundedReceiver<Command>) {
    let mut commands = commands;
    let accepting: RefCell<BTreeMap<Arc<str>, AbortHandle>> = RefCell::default();
    let stop = |name: &Arc<str>| {
        if let Some(task) = accepting.borrow_mut().remove(name) {
            task.abort();
        }
    };
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(name, socket) => {
                stop(&name);
                let task = tokio::task::spawn_local(accept(worker.clone(), name.clone(), socket));
                accepting.borrow_mut().insert(name, task.abort_handle());
            }
            Command::Stop(name) => stop(&name),
            Command::Drain => {
                for task in std::mem::take(&mut *accepting.borrow_mut()).into_values() {
                    task.abort();
                }
                worker.downstream.drain();
            }
        }
    }
}

async fn accept(worker: Rc<Worker>, name: Arc<str>, socket: std::net::TcpListener) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(listener = &*name, %error, "failed to listen");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let guard = Guard::new(&worker.shared);
                let serving =
                    connection::serve(worker.clone(), name.clone(), guard, stream, remote);
                tokio::task::spawn_local(serving);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(listener = &*name, %error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts a connection among those that draining waits for.
pub struct Guard(Arc<Shared>);

// === impl Guard ===

impl Guard {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Self(shared.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
