//! Many proxies that connect at once, and changes after that.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::configuration::{Change, Configuration};
use super::controller::{Controller, Usage};
use super::proxies::{Fleet, Traffic};
use super::{Args, PATIENCE, QUIET};

/// What it took until all proxies had everything.
pub struct Synced {
    /// Until the last one had it.
    pub time: Duration,
    /// CPU of the control plane.
    pub cpu: Duration,
    /// What it has used then.
    pub usage: Usage,
    traffic: Vec<Traffic>,
}

/// Measures a number of proxies.
pub async fn run(args: &Args, count: usize) -> anyhow::Result<()> {
    println!(
        "\n{count} proxies, {} services with {} endpoints each, {} namespaces",
        args.services, args.endpoints, args.namespaces
    );
    let directory = tempfile::tempdir()?;
    let configuration = args.configuration(directory.path(), false);
    configuration.write()?;
    let controller = Controller::start(&args.binaries, &configuration, directory.path())?;
    controller.print_idle()?;
    let fleet = Fleet::new(count, args.namespaces);
    sync(&fleet, &controller).await?.print();
    fleet.print_sharing();
    for change in Change::ALL {
        push(&fleet, &controller, &configuration, change).await?;
    }
    let usage = controller.usage()?;
    println!(
        "  at the end          {:>7.1} MiB, at most {:.1} MiB",
        usage.mib, usage.peak_mib
    );
    tokio::time::sleep(Duration::from_secs(args.linger)).await;
    Ok(())
}

/// Connects everyone and waits until everyone has everything.
pub async fn sync(fleet: &Fleet, controller: &Controller) -> anyhow::Result<Synced> {
    let before = controller.usage()?;
    let began = Instant::now();
    fleet.connect(&controller.xds);
    let traffic = fleet
        .wait_for(fleet.len(), PATIENCE, |traffic| {
            fleet.has_everything(traffic)
        })
        .await
        .context("not all proxies got everything")?;
    let usage = controller.usage()?;
    let last = traffic.iter().filter_map(|traffic| traffic.last).max();
    Ok(Synced {
        time: last.map_or(Duration::ZERO, |last| last.duration_since(began)),
        cpu: usage.cpu.saturating_sub(before.cpu),
        usage,
        traffic,
    })
}

// === impl Synced ===

impl Synced {
    /// Prints it as a row.
    pub fn print(&self) {
        println!(
            "  all synced          {:>7.2} s, {:.2} s CPU, {:.1} MiB (at most {:.1}), {:.1} MB sent",
            self.time.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.usage.mib,
            self.usage.peak_mib,
            megabytes(&self.traffic),
        );
    }
}

/// Changes one thing and waits until everyone that it concerns has it, and a little longer for those that it does not.
pub async fn push(
    fleet: &Fleet,
    controller: &Controller,
    configuration: &Configuration,
    change: Change,
) -> anyhow::Result<()> {
    fleet.quiet(QUIET).await;
    fleet.forget();
    let concerned = fleet.in_namespaces(change.reach(configuration));
    let before = controller.usage()?;
    let began = Instant::now();
    configuration.make(change)?;
    fleet
        .wait_for(concerned, PATIENCE, |traffic| traffic.responses > 0)
        .await
        .with_context(|| format!("not all {concerned} proxies got {}", change.name()))?;
    fleet.quiet(QUIET).await;
    let cpu = controller.usage()?.cpu.saturating_sub(before.cpu);
    let traffic = fleet.traffic();
    let times = times(&traffic, began);
    let at = |share: usize| {
        times
            .get((times.len() * share / 100).min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    println!(
        "  {:19} {:.3} s first, {:.3} s median, {:.3} s last; {:.3} s CPU, {:.2} MB sent; {} of {} proxies got anything, {concerned} are concerned",
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
