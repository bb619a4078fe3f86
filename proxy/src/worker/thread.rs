//! The thread of one worker: it listens as it is told, and serves what it accepts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mesh_ir::Direction;
use tokio::net::TcpListener;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use super::local::{Draining, Worker};
use super::{Shared, connection};

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Accept connections of a listener, instead of those that it may have accepted so far.
    Listen(Arc<str>, std::net::TcpListener),
    /// Accept no more connections of a listener.
    Stop(Arc<str>),
    /// Go over to the newest configuration now, and let go of what is gone with the one before, without waiting for a request.
    Refresh,
    /// Accept no more connections of these listeners, and let those connections end.
    Drain(Draining),
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
    let accepting: RefCell<BTreeMap<Arc<str>, (Direction, AbortHandle)>> = RefCell::default();
    let stop = |name: &Arc<str>| {
        if let Some((_, task)) = accepting.borrow_mut().remove(name) {
            task.abort();
        }
    };
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(name, socket) => {
                stop(&name);
                let direction = direction(&worker, &name);
                let accept = accept(worker.clone(), name.clone(), direction, socket);
                let task = tokio::task::spawn_local(accept).abort_handle();
                accepting.borrow_mut().insert(name, (direction, task));
            }
            Command::Stop(name) => stop(&name),
            Command::Refresh => drop(worker.runtime()),
            Command::Drain(which) => {
                worker.downstream.drain(which);
                accepting.borrow_mut().retain(|_, (direction, task)| {
                    let ends = worker.downstream.draining(*direction);
                    if ends {
                        task.abort();
                    }
                    !ends
                });
            }
        }
    }
}

/// Which way the traffic of a listener flows. The runtime knows every listener before its sockets are handed out.
fn direction(worker: &Rc<Worker>, name: &str) -> Direction {
    let runtime = worker.runtime();
    let listener = runtime.shared.listener(name);
    listener.map_or(Direction::Outbound, |listener| listener.config.direction)
}

async fn accept(
    worker: Rc<Worker>,
    name: Arc<str>,
    direction: Direction,
    socket: std::net::TcpListener,
) {
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
                let guard = ConnectionGuard::new(&worker.shared, direction);
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
pub struct ConnectionGuard(Arc<Shared>, Direction);

// === impl ConnectionGuard ===

impl ConnectionGuard {
    fn new(shared: &Arc<Shared>, direction: Direction) -> Self {
        shared
            .connections(direction)
            .fetch_add(1, Ordering::Relaxed);
        Self(shared.clone(), direction)
    }

    /// Which way the connection's traffic flows.
    pub fn direction(&self) -> Direction {
        self.1
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections(self.1).fetch_sub(1, Ordering::Relaxed);
    }
}
