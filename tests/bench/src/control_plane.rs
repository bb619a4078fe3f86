//! The control plane under load: many proxies that ask for everything, and one change.
//!
//! ```text
//! configuration --YAML--> mesh-controller --ADS--> proxies (one stream each, in this process)
//! ```

mod configuration;
mod proxies;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::process::{Process, free_port};
use configuration::{Change, Configuration};
use proxies::{Fleet, Traffic};

/// What to measure, and with what.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the release binary `mesh-controller`
    #[arg(long)]
    binaries: PathBuf,
    /// Proxies that connect; may be given more than once
    #[arg(long, default_values_t = [100, 1000])]
    proxies: Vec<usize>,
    /// Services
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Endpoints of each
    #[arg(long, default_value_t = 10)]
    endpoints: usize,
    /// Namespaces that the services and proxies are spread over
    #[arg(long, default_value_t = 20)]
    namespaces: usize,
    /// Keep the control plane running for so long after the measurements, for profilers
    #[arg(long, default_value_t = 0)]
    linger: u64,
}

/// Longest time for all proxies to get everything.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long nothing must arrive before a push counts as over.
const QUIET: Duration = Duration::from_secs(1);

/// Measures each number of proxies with a fresh control plane.
///
/// # Errors
/// When the control plane does not start, or proxies do not get what they should.
pub fn run(args: &Args) -> anyhow::Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for &count in &args.proxies {
        runtime.block_on(measure(args, count))?;
    }
    Ok(())
}

async fn measure(args: &Args, count: usize) -> anyhow::Result<()> {
    println!(
        "\n{count} proxies, {} services with {} endpoints each",
        args.services, args.endpoints
    );
    let directory = tempfile::tempdir()?;
    let configuration = Configuration {
        directory: directory.path().join("config"),
        services: args.services,
        endpoints: args.endpoints,
        namespaces: args.namespaces,
    };
    configuration.write()?;
    let (controller, xds) = start(args, &configuration, directory.path())?;
    println!(
        "  idle                {:>7.1} MiB, {:.2} s CPU to read it all",
        mib(controller.resident_kib()?),
        controller.cpu()?.as_secs_f64()
    );
    let fleet = Fleet::new(count, args.namespaces);
    sync(&fleet, &controller, xds).await?;
    for change in Change::ALL {
        push(&fleet, &controller, &configuration, change).await?;
    }
    println!(
        "  at the end          {:>7.1} MiB, at most {:.1} MiB",
        mib(controller.resident_kib()?),
        mib(controller.peak_kib()?)
    );
    tokio::time::sleep(Duration::from_secs(args.linger)).await;
    Ok(())
}

fn start(
    args: &Args,
    configuration: &Configuration,
    log: &Path,
) -> anyhow::Result<(Process, String)> {
    let (xds, monitoring) = (free_port()?, free_port()?);
    let command = [
        args.binaries.join("mesh-controller").display().to_string(),
        "discovery".to_owned(),
        format!("--configDir={}", configuration.directory.display()),
        format!("--plaintext-xds=127.0.0.1:{xds}"),
        format!("--monitoringAddr=127.0.0.1:{monitoring}"),
        "--httpAddr=".to_owned(),
        "--log_output_level=warn".to_owned(),
    ];
    let mut controller = Process::start("controller", None, &command, log)?;
    controller.wait_for(([127, 0, 0, 1], xds).into())?;
    let ready = || crate::process::get(([127, 0, 0, 1], monitoring).into(), "/ready");
    let began = Instant::now();
    while !ready().is_ok_and(|answer| answer.contains(" 200 ")) {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the control plane is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((controller, format!("http://127.0.0.1:{xds}")))
}

/// Connects everyone and waits until everyone has everything.
async fn sync(fleet: &Fleet, controller: &Process, xds: String) -> anyhow::Result<()> {
    let before = controller.cpu()?;
    let began = Instant::now();
    fleet.connect(&xds);
    let traffic = fleet
        .wait_for(fleet.len(), PATIENCE, Traffic::has_everything)
        .await
        .context("not all proxies got everything")?;
    let last = times(&traffic, began).last().copied().unwrap_or_default();
    println!(
        "  all synced          {last:>7.2} s, {:.2} s CPU, {:.1} MiB (at most {:.1}), {:.1} MB sent",
        (controller.cpu()?.saturating_sub(before)).as_secs_f64(),
        mib(controller.resident_kib()?),
        mib(controller.peak_kib()?),
        megabytes(&traffic),
    );
    Ok(())
}

/// Changes one thing and waits until everyone that it concerns has it, and a little longer for those that it does not.
async fn push(
    fleet: &Fleet,
    controller: &Process,
    configuration: &Configuration,
    change: Change,
) -> anyhow::Result<()> {
    fleet.quiet(QUIET).await;
    fleet.forget();
    let concerned = fleet.in_namespaces(change.reach(configuration));
    let before = controller.cpu()?;
    let began = Instant::now();
    configuration.make(change)?;
    fleet
        .wait_for(concerned, PATIENCE, |traffic| traffic.responses > 0)
        .await
        .with_context(|| format!("not all {concerned} proxies got {}", change.name()))?;
    fleet.quiet(QUIET).await;
    let cpu = controller.cpu()?.saturating_sub(before);
    let traffic = fleet.traffic();
    let times = times(&traffic, began);
    let at = |share: usize| {
        times
            .get((times.len() * share / 100).min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    println!(
        "  {:19} {:.3} s first, {:.3} s median, {:.3} s last; {:.2} s CPU, {:.2} MB sent; {} of {} proxies got anything, {concerned} are concerned",
        change.name(),
        at(0),
        at(50),
        at(100),
        cpu.as_secs_f64(),
        megabytes(&traffic),
        times.len(),
        fleet.len(),
    );
    anyhow::ensure!(
        times.len() == concerned,
        "{} proxies got {}, {concerned} are concerned",
        times.len(),
        change.name()
    );
    Ok(())
}

/// Seconds to the last response of each proxy that got one, sorted.
fn times(traffic: &[Traffic], began: Instant) -> Vec<f64> {
    let mut times: Vec<f64> = traffic
        .iter()
        .filter_map(|traffic| Some(traffic.last?.duration_since(began).as_secs_f64()))
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn megabytes(traffic: &[Traffic]) -> f64 {
    traffic.iter().map(|traffic| traffic.bytes).sum::<usize>() as f64 / 1e6
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A thousand proxies are a thousand sockets; the usual soft limit is lower.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
