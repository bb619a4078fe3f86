//! Counters of the control plane under Istio's names, written in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mesh_xds::ResourceType;

/// Upper bounds of the buckets of times, in milliseconds; Istio's, and finer ones below.
const BUCKETS: [u64; 12] = [
    10, 25, 50, 100, 250, 500, 1_000, 3_000, 5_000, 10_000, 20_000, 30_000,
];

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    pushes: [AtomicU64; ResourceType::ALL.len()],
    bytes: [AtomicU64; ResourceType::ALL.len()],
    refusals: [AtomicU64; ResourceType::ALL.len()],
    unauthenticated: AtomicU64,
    events: AtomicU64,
    publications: AtomicU64,
    convergence: Histogram,
    debounce: Histogram,
}

/// What the page tells beside what is counted: the state of the control plane when it is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Open streams.
    pub proxies: u64,
    /// Services of the latest snapshot.
    pub services: u64,
    /// VirtualServices of the latest snapshot.
    pub virtual_services: u64,
    /// Number of the latest snapshot.
    pub generation: u64,
    /// Diagnostics of the latest snapshot.
    pub findings: u64,
}

/// Times in buckets.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len() + 1],
    microseconds: AtomicU64,
}

// === impl Metrics ===

impl Metrics {
    /// A response was sent.
    pub fn pushed(&self, kind: ResourceType, bytes: usize) {
        add(&self.pushes, kind, 1);
        add(&self.bytes, kind, bytes as u64);
    }

    /// A response was refused.
    pub fn refused(&self, kind: ResourceType) {
        add(&self.refusals, kind, 1);
    }

    /// A client was not let in.
    pub fn unauthenticated(&self) {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
    }

    /// A proxy has acknowledged everything of a publication, so long after it.
    pub fn converged(&self, after: Duration) {
        self.convergence.observe(after);
    }

    /// Something happened to the configuration.
    pub fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// A snapshot was published, so long after the first change in it.
    pub fn published(&self, after: Duration) {
        self.publications.fetch_add(1, Ordering::Relaxed);
        self.debounce.observe(after);
    }

    /// The page `/metrics`, in Prometheus' text format.
    pub fn render(&self, gauges: Gauges) -> String {
        let Gauges {
            proxies,
            services,
            virtual_services,
            generation,
            findings,
        } = gauges;
        let mut page = Page::default();
        let version = env!("CARGO_PKG_VERSION");
        page.family("pilot_info", "gauge", "Version of the control plane");
        page.sample("pilot_info", &[("version", version)], 1);
        page.family("pilot_xds", "gauge", "Proxies that are connected");
        page.sample("pilot_xds", &[("version", version)], proxies);
        page.single("pilot_services", "gauge", "Services of the mesh", services);
        page.single(
            "pilot_virt_services",
            "gauge",
            "VirtualServices of the mesh",
            virtual_services,
        );
        page.single(
            "pilot_generation",
            "counter",
            "Number of the latest snapshot",
            generation,
        );
        page.single(
            "pilot_findings",
            "gauge",
            "What is wrong with the configuration as a whole",
            findings,
        );
        self.render_pushes(&mut page);
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.single(
            "pilot_k8s_cfg_events",
            "counter",
            "Changes of the configuration that came in",
            value(&self.events),
        );
        page.single(
            "pilot_pushes",
            "counter",
            "Snapshots that were published",
            value(&self.publications),
        );
        let help = "Clients that were not let in";
        page.single(
            "istiod_authentication_failures_total",
            "counter",
            help,
            value(&self.unauthenticated),
        );
        self.convergence.render(
            "pilot_proxy_convergence_time",
            "Seconds from a snapshot to the proxy that has acknowledged all of it",
            &mut page,
        );
        self.debounce.render(
            "pilot_debounce_time",
            "Seconds from a change to the snapshot with it",
            &mut page,
        );
        render_process(&mut page);
        page.0
    }

    fn render_pushes(&self, page: &mut Page) {
        let counters = [
            ("pilot_xds_pushes", "Responses that were sent", &self.pushes),
            (
                "pilot_xds_push_bytes",
                "Bytes of responses that were sent",
                &self.bytes,
            ),
            (
                "pilot_xds_rejects",
                "Responses that were refused",
                &self.refusals,
            ),
        ];
        for (name, help, values) in counters {
            page.family(name, "counter", help);
            for (kind, value) in ResourceType::ALL.into_iter().zip(values) {
                let label = kind.short().to_ascii_lowercase();
                page.sample(name, &[("type", &label)], value.load(Ordering::Relaxed));
            }
        }
        let all = self
            .refusals
            .iter()
            .map(|value| value.load(Ordering::Relaxed))
            .sum();
        page.single(
            "pilot_total_xds_rejects",
            "counter",
            "Responses that were refused, of all types",
            all,
        );
    }
}

fn add(counters: &[AtomicU64; ResourceType::ALL.len()], kind: ResourceType, value: u64) {
    if let Some(counter) = counters.get(kind.index()) {
        counter.fetch_add(value, Ordering::Relaxed);
    }
}

/// CPU and memory of this process, where the system tells them.
fn render_process(page: &mut Page) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return;
    };
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    if let Some(kib) =
        resident.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok())
    {
        page.single(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory",
            kib * 1024,
        );
    }
}

// === impl Histogram ===

impl Histogram {
    fn observe(&self, time: Duration) {
        let position = BUCKETS
            .iter()
            .position(|bound| time <= Duration::from_millis(*bound));
        if let Some(bucket) = self.buckets.get(position.unwrap_or(BUCKETS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    fn render(&self, name: &str, help: &str, page: &mut Page) {
        page.family(name, "histogram", help);
        let mut count = 0;
        let bounds = BUCKETS
            .iter()
            .map(|bound| (*bound as f64 / 1e3).to_string())
            .chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            page.sample(&[name, "_bucket"].concat(), &[("le", &bound)], count);
        }
        let seconds = self.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        page.sample(&[name, "_sum"].concat(), &[], seconds);
        page.sample(&[name, "_count"].concat(), &[], count);
    }
}

/// The text so far.
#[derive(Default)]
struct Page(String);

// === impl Page ===

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_every_bucket_above_them() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(30));
        histogram.observe(Duration::from_secs(60));
        let mut page = Page::default();
        histogram.render("x", "Times", &mut page);
        for line in [
            "x_bucket{le=\"0.025\"} 0",
            "x_bucket{le=\"0.05\"} 1",
            "x_bucket{le=\"+Inf\"} 2",
            "x_sum 60.03",
            "x_count 2",
        ] {
            assert!(
                page.0.lines().any(|found| found == line),
                "{line} is not in\n{}",
                page.0
            );
        }
    }
}
