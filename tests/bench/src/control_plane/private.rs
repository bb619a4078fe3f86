//! What one Service with `exportTo: .` costs: the same mesh with and without it, in pairs.

use super::Args;
use super::controller::Controller;
use super::proxies::Fleet;
use super::sync::{Synced, sync};
use crate::statistics::median;

const PROXIES: usize = 100;
const PAIRS: usize = 5;

/// Measures it.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    println!(
        "\none of {} Services is private, {PROXIES} proxies, {PAIRS} pairs of runs",
        args.services
    );
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push((measure(args, false).await?, measure(args, true).await?));
    }
    print("CPU", &pairs, "s", |synced| synced.cpu.as_secs_f64());
    print("time", &pairs, "s", |synced| synced.time.as_secs_f64());
    print("memory", &pairs, "MiB", |synced| synced.usage.mib);
    Ok(())
}

fn print(name: &str, pairs: &[(Synced, Synced)], unit: &str, of: impl Fn(&Synced) -> f64) {
    let column = |pick: &dyn Fn(&(Synced, Synced)) -> f64| -> f64 {
        median(&pairs.iter().map(pick).collect::<Vec<_>>())
    };
    println!(
        "  {name:19} {:.2} {unit} without, {:.2} {unit} with; median ratio of the pairs {:.3}",
        column(&|(without, _)| of(without)),
        column(&|(_, with)| of(with)),
        column(&|(without, with)| of(with) / of(without)),
    );
}

async fn measure(args: &Args, has_private_service: bool) -> anyhow::Result<Synced> {
    let directory = tempfile::tempdir()?;
    let configuration = args.configuration(directory.path(), has_private_service);
    configuration.write()?;
    let controller = Controller::start(&args.binaries, &configuration, directory.path())?;
    sync(&Fleet::new(PROXIES, args.namespaces), &controller).await
}
