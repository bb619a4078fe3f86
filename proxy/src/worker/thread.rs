//! The thread of one worker: it listens as it is told, and serves what it accepts.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mesh_ir::Direction;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

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
    /// Let answers be the last ones on these connections.
    Announce(Draining),
    /// Accept no more of these connections, and end those that are idle. Then drop the channel.
    End(Draining, Sender<()>),
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
    let mut accepting: BTreeMap<Arc<str>, Accepting> = BTreeMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(name, socket) => {
                let direction = direction(&worker, &name);
                let (stop, stopped) = oneshot::channel();
                let accept = accept(worker.clone(), name.clone(), direction, socket, stopped);
                let task = tokio::task::spawn_local(accept);
                let new = Accepting {
                    direction,
                    stop,
                    task,
                };
                if let Some(before) = accepting.insert(name, new) {
                    before.stop().await;
                }
            }
            Command::Stop(name) => {
                if let Some(gone) = accepting.remove(&name) {
                    gone.stop().await;
                }
            }
            Command::Refresh => drop(worker.runtime()),
            Command::Announce(which) => worker.downstream.announce(which),
            Command::End(which, done) => {
                let (closed, others): (BTreeMap<_, _>, _) = std::mem::take(&mut accepting)
                    .into_iter()
                    .partition(|(_, it)| which.covers(it.direction));
                accepting = others;
                for closed in closed.into_values() {
                    closed.stop().await;
                }
                worker.downstream.end(which);
                drop(done);
            }
        }
    }
}

/// A listener's task.
struct Accepting {
    direction: Direction,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Accepting {
    /// Returns when the socket is closed.
    async fn stop(self) {
        // A task that has ended needs not be told, and none of them panics.
        let _ = self.stop.send(());
        let _ = self.task.await;
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
    stopped: oneshot::Receiver<()>,
) {
    let mut stopped = stopped;
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(listener = &*name, %error, "failed to listen");
            return;
        }
    };
    let serve = |stream, remote| {
        if !worker.shared.has_room() {
            worker.metrics.cells().downstream_cx_overflow.inc();
            return;
        }
        let guard = ConnectionGuard::new(&worker.shared, direction);
        let serving = connection::serve(worker.clone(), name.clone(), guard, stream, remote);
        tokio::task::spawn_local(serving);
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, remote)) => serve(stream, remote),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(listener = &*name, %error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Whoever is connected already for the kernel would be reset with the socket.
    let Ok(socket) = listener.into_std() else {
        return;
    };
    while let Ok((stream, remote)) = socket.accept() {
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            serve(stream, remote);
        }
    }
}

/// Counts a connection among those that draining waits for.
pub struct ConnectionGuard(Arc<Shared>, Direction);

// === impl ConnectionGuard ===

impl ConnectionGuard {
    fn new(shared: &Arc<Shared>, direction: Direction) -> Self {
        let connections = shared.connections(direction);
        connections.fetch_add(1, Ordering::Relaxed);
        shared.arrive(direction);
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
