//! What is sent to collectors: spans, and entries of logs. Nobody waits for them: what there is no room for is dropped and counted.
//!
//! ```text
//! worker --try--> bounded queue --batch--> task, one for each destination --call--> collector (a cluster of the configuration)
//! ```

mod call;
mod collector;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

pub use collector::Collector;

/// Most items that wait for one destination.
const QUEUE: usize = 4096;

/// Most items of one call.
const BATCH: usize = 256;

/// How many calls are tried for a batch.
const TRIES: u32 = 2;

/// How long items are gathered at most before they are sent.
const INTERVAL: Duration = mesh_ir::telemetry::FLUSH_INTERVAL;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spans by OTLP.
    OpenTelemetrySpans,
    /// Spans for Zipkin.
    ZipkinSpans,
    /// Entries of logs for Envoy's service.
    GrpcLog,
    /// Entries of logs by OTLP.
    OpenTelemetryLog,
}

/// Where and how batches are sent.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Cluster of the collector.
    pub cluster: Arc<str>,
    /// What is spoken.
    pub call: Call,
    /// Limit for a call.
    pub timeout: Duration,
    /// Fields of requests.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
}

/// What is spoken to a collector.
#[derive(Clone, Debug)]
pub enum Call {
    /// A call of gRPC, by its path; one message is sent.
    Grpc(&'static str),
    /// A request of HTTP.
    Post {
        /// Path.
        path: Arc<str>,
        /// Host.
        host: Arc<str>,
        /// Type of the body.
        content_type: &'static str,
    },
}

/// Everything that is sent by this process.
#[derive(Debug, Default)]
pub struct Exports {
    counts: [Counts; 4],
    /// What tasks run on, and how they find collectors; none until workers are started.
    ready: OnceLock<(Handle, Collectors)>,
}

/// Finds the collector of a cluster, as the configuration in force has it.
type Find = dyn Fn(&str) -> Option<Collector> + Send + Sync;

#[derive(Clone)]
struct Collectors(Arc<Find>);

/// What has become of items.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// The sending end for items of one destination. Its task ends when this is dropped and everything has been sent.
#[derive(Debug)]
pub struct Queue<T> {
    sender: Option<Sender<T>>,
    exports: Arc<Exports>,
    kind: Kind,
}

// === impl Kind ===

impl Kind {
    /// All of them, with the group of their statistics and what is counted there.
    pub const ALL: [(Self, &'static str, [&'static str; 2]); 4] = [
        (
            Self::OpenTelemetrySpans,
            "tracing.opentelemetry",
            ["spans_sent", "spans_dropped"],
        ),
        (
            Self::ZipkinSpans,
            "tracing.zipkin",
            ["spans_sent", "spans_dropped"],
        ),
        (
            Self::GrpcLog,
            "access_logs.grpc_access_log",
            ["logs_written", "logs_dropped"],
        ),
        (
            Self::OpenTelemetryLog,
            "access_logs.open_telemetry_access_log",
            ["logs_written", "logs_dropped"],
        ),
    ];
}

// === impl Exports ===

impl Exports {
    /// Says where collectors are found. Tasks run on the runtime of the caller. Only the first call counts.
    pub fn start(&self, find: impl Fn(&str) -> Option<Collector> + Send + Sync + 'static) {
        let collectors = Collectors(Arc::new(find));
        // There is only one configuration in a process.
        let _ = self.ready.set((Handle::current(), collectors));
    }

    /// How many items were sent and how many dropped.
    pub fn counts(&self, kind: Kind) -> (u64, u64) {
        let Counts { sent, dropped } = self.of(kind);
        (sent.load(Relaxed), dropped.load(Relaxed))
    }

    /// A queue for a destination; `encode` makes one message of a batch.
    pub fn queue<T: Send + 'static>(
        self: &Arc<Self>,
        kind: Kind,
        destination: Destination,
        encode: impl Fn(Vec<T>) -> Vec<u8> + Send + 'static,
    ) -> Queue<T> {
        let sender = self.ready.get().map(|(handle, collectors)| {
            let (sender, items) = channel(QUEUE);
            let (collectors, exports) = (collectors.clone(), self.clone());
            handle.spawn(run(items, destination, encode, collectors, exports, kind));
            sender
        });
        Queue {
            sender,
            exports: self.clone(),
            kind,
        }
    }

    fn of(&self, kind: Kind) -> &Counts {
        let [spans, zipkin, grpc, otlp] = &self.counts;
        match kind {
            Kind::OpenTelemetrySpans => spans,
            Kind::ZipkinSpans => zipkin,
            Kind::GrpcLog => grpc,
            Kind::OpenTelemetryLog => otlp,
        }
    }
}

// === impl Queue ===

impl<T> Queue<T> {
    /// Sends an item, or drops it where there is no room.
    pub fn send(&self, item: T) {
        let sent = self.sender.as_ref().map(|sender| sender.try_send(item));
        if !matches!(sent, Some(Ok(()))) {
            let counts = self.exports.of(self.kind);
            counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

async fn run<T: Send + 'static>(
    mut items: Receiver<T>,
    destination: Destination,
    encode: impl Fn(Vec<T>) -> Vec<u8> + Send + 'static,
    collectors: Collectors,
    exports: Arc<Exports>,
    kind: Kind,
) {
    let mut caller = call::Caller::default();
    let mut told = false;
    loop {
        let mut batch = Vec::new();
        if items.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        gather(&mut items, &mut batch).await;
        let count = batch.len() as u64;
        let message = Bytes::from(encode(batch));
        let mut outcome = Ok(());
        for _ in 0..TRIES {
            let calling = caller.call(&*collectors.0, &destination, message.clone());
            outcome = match timeout(destination.timeout, calling).await {
                Ok(outcome) => outcome,
                Err(_) => Err("no answer in time".to_owned()),
            };
            if outcome.is_ok() {
                break;
            }
            caller.forget();
        }
        let counts = exports.of(kind);
        match outcome {
            Ok(()) => {
                counts.sent.fetch_add(count, Relaxed);
                told = false;
            }
            Err(reason) => {
                counts.dropped.fetch_add(count, Relaxed);
                // Once for each outage.
                if !std::mem::replace(&mut told, true) {
                    let cluster = &*destination.cluster;
                    tracing::warn!(cluster, ?kind, reason, "failed to send telemetry");
                }
            }
        }
    }
}

/// Waits for more, until there is enough or the interval has passed.
async fn gather<T>(items: &mut Receiver<T>, batch: &mut Vec<T>) {
    let more = async {
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if items.recv_many(batch, room).await == 0 {
                return;
            }
        }
    };
    // What has come until then is sent.
    let _ = timeout(INTERVAL, more).await;
}

impl fmt::Debug for Collectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collectors")
    }
}
