//! The proxy beside Envoy and HAProxy: HTTP/1.1 keep-alive, 32 connections, one core for the proxy, the other for backend and load.
//! Envoy follows the same control plane, so that both have the very same configuration.

mod backend;
mod cases;
mod idle;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use rand::seq::SliceRandom as _;

use crate::statistics::{estimate, median};
use cases::Case;

/// What to measure, and with what.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the release binaries `mesh-proxy` and `mesh-controller`
    #[arg(long)]
    binaries: PathBuf,
    /// Envoy
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// HAProxy
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// Rounds; each has every case once
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of each measurement, after one second to warm up
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Idle connections to hold for the memory of each
    #[arg(long, default_value_t = 2000)]
    connections: usize,
}

/// Connections of the load.
const CONNECTIONS: usize = 32;
/// Core of the proxies; the harness itself must run on another.
const CORE: usize = 0;

/// Runs all rounds and prints a table.
///
/// # Errors
/// When a part is missing or does not start, or answers are not all 200.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let backend = backend::start()?;
    let started = cases::start(args, backend, directory.path())?;
    let cases = &started.list;
    println!("idle, before any request:");
    for case in cases {
        println!(
            "  {:10} {:>8} KiB resident",
            case.name,
            case.process.resident_kib()?
        );
    }
    let mut samples = vec![Vec::new(); cases.len()];
    let mut order: Vec<usize> = (0..cases.len()).collect();
    for round in 0..args.rounds {
        order.shuffle(&mut rand::rng());
        for &index in &order {
            let sample = measure(&cases[index], args.seconds)?;
            samples[index].push(sample.cpu_per_request);
            println!(
                "round {:2} {:10} {:8.2} µs CPU/request {:9.0} requests/s, core {:3.0} % busy",
                round + 1,
                cases[index].name,
                sample.cpu_per_request,
                sample.rate,
                sample.busy * 100.0
            );
        }
    }
    report(cases, &samples);
    idle::report(cases, args.connections)
}

fn report(cases: &[Case], samples: &[Vec<f64>]) {
    println!(
        "\nCPU per request, median of {} rounds; ratios are medians of paired rounds with a 90 % interval:",
        samples[0].len()
    );
    for (case, values) in cases.iter().zip(samples) {
        println!("  {:10} {:8.2} µs", case.name, median(values));
    }
    for (case, values) in cases.iter().zip(samples).skip(1) {
        let ratios: Vec<f64> = samples[0]
            .iter()
            .zip(values)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        let ratio = estimate(&ratios);
        println!(
            "  ours / {:10} {:.2} ({:.2} to {:.2})",
            case.name, ratio.median, ratio.low, ratio.high
        );
    }
}

struct Sample {
    /// Microseconds.
    cpu_per_request: f64,
    rate: f64,
    busy: f64,
}

fn measure(case: &Case, seconds: u64) -> anyhow::Result<Sample> {
    load(case, 1)?;
    let before = case.process.cpu()?;
    let requests = load(case, seconds)?;
    let cpu = case.process.cpu()?.saturating_sub(before);
    Ok(Sample {
        cpu_per_request: cpu.as_secs_f64() * 1e6 / requests as f64,
        rate: requests as f64 / seconds as f64,
        busy: cpu.as_secs_f64() / Duration::from_secs(seconds).as_secs_f64(),
    })
}

/// Runs wrk and gives the number of requests; any error or other status than 2xx and 3xx fails.
fn load(case: &Case, seconds: u64) -> anyhow::Result<u64> {
    let output = Command::new("wrk")
        .args([
            "-t1",
            "-c",
            &CONNECTIONS.to_string(),
            "-d",
            &format!("{seconds}s"),
        ])
        .arg(format!("http://{}/", case.address))
        .output()
        .context("failed to run wrk; install it (Debian package wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    for bad in ["Non-2xx", "Socket errors"] {
        anyhow::ensure!(!text.contains(bad), "{}: {}", case.name, text.trim());
    }
    text.lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .with_context(|| format!("wrk printed no count: {text}"))
}
