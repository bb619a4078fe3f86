//! Opens what listeners' policies ask for: files, tracers, queues to collectors. What several listeners ask for alike is opened once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use mesh_ir::{TelemetryPolicy, Tracing};

use super::access_log::{self, AccessLogs};
use super::export::Exports;
use super::listener::{ListenerTelemetry, MetricTags};
use super::tracing::Tracer;

/// Opens what policies ask for, in the name of one proxy.
pub struct Reporter {
    /// Name of the service that the proxy is a part of.
    pub service: Arc<str>,
    /// The proxy's own id.
    pub node_id: Arc<str>,
    /// Where it runs; may be empty.
    pub zone: Arc<str>,
    /// Its environment, for tags.
    pub environment: BTreeMap<String, String>,
    /// The files that are logged to.
    pub files: Arc<AccessLogs>,
    /// What is sent to collectors.
    pub exports: Arc<Exports>,
    opened: Mutex<HashMap<TelemetryPolicy, Weak<ListenerTelemetry>>>,
}

// === impl Reporter ===

impl Reporter {
    /// Of a proxy of whom nothing is known.
    pub fn new(files: Arc<AccessLogs>) -> Self {
        Self {
            service: "".into(),
            node_id: "".into(),
            zone: "".into(),
            environment: BTreeMap::new(),
            files,
            exports: Arc::default(),
            opened: Mutex::default(),
        }
    }

    /// What a policy asks for. What cannot be understood is left out, and told about; [`check`] refuses it before.
    pub fn open(&self, policy: &TelemetryPolicy) -> Arc<ListenerTelemetry> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = opened.get(policy).and_then(Weak::upgrade) {
            return known;
        }
        let TelemetryPolicy {
            access_logs,
            tracing,
            metrics,
        } = policy;
        let told = |reason: String| {
            tracing::warn!(
                reason,
                "a part of what is to be told about traffic is left out"
            );
        };
        let logs = access_logs.iter().filter_map(|log| {
            let log = access_log::AccessLog::open(log, self);
            log.map_err(told).ok()
        });
        let tracer = tracing.as_ref().and_then(|tracing: &Tracing| {
            let tracer = Tracer::new(tracing, self);
            tracer.map_err(told).ok()
        });
        let telemetry = Arc::new(ListenerTelemetry {
            logs: logs.collect(),
            tracer,
            metrics: MetricTags::compile(metrics)
                .map_err(told)
                .unwrap_or_default(),
        });
        opened.insert(policy.clone(), Arc::downgrade(&telemetry));
        telemetry
    }
}

impl fmt::Debug for Reporter {
    /// Without the environment, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("service", &self.service)
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}

/// Whether a policy can be understood, without opening anything.
///
/// # Errors
/// With what cannot.
pub fn check(policy: &TelemetryPolicy) -> Result<(), String> {
    let TelemetryPolicy {
        access_logs,
        tracing,
        metrics,
    } = policy;
    access_logs.iter().try_for_each(access_log::check)?;
    if let Some(tracing) = tracing {
        super::tracing::check(tracing)?;
    }
    MetricTags::compile(metrics).map(drop)
}
