//! A large mesh with one proxy for each namespace: what translation and encoding cost, and what changes cost that every namespace sees.

use std::time::Duration;

use super::Args;
use super::configuration::{Change, Configuration};
use super::controller::Controller;
use super::proxies::Fleet;
use super::sync::{push, sync};

/// Measures it.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let (services, namespaces) = (args.large_services, args.large_namespaces);
    println!(
        "\n{services} services with {} endpoints each, {namespaces} namespaces, one proxy for each",
        args.endpoints
    );
    let directory = tempfile::tempdir()?;
    let configuration = Configuration {
        directory: directory.path().join("config"),
        services,
        endpoints: args.endpoints,
        namespaces,
        has_private_service: false,
    };
    configuration.write()?;
    let controller = Controller::start(&args.binaries, &configuration, directory.path())?;
    controller.print_idle()?;
    // Who asks for listeners only gets them once everything of its namespace is encoded, and next to nothing is sent.
    let first = Fleet::of_listeners(namespaces);
    let translated = sync(&first, &controller).await?;
    println!(
        "  first translation and encoding of all namespaces: {:.2} s, {:.2} s CPU, {:.1} MiB (at most {:.1})",
        translated.time.as_secs_f64(),
        translated.cpu.as_secs_f64(),
        translated.usage.mib,
        translated.usage.peak_mib,
    );
    let fleet = Fleet::new(namespaces, namespaces);
    sync(&fleet, &controller).await?.print();
    drop(first);
    fleet.print_sharing();
    for change in [Change::Endpoint, Change::PublicRule] {
        push(&fleet, &controller, &configuration, change).await?;
    }
    tokio::time::sleep(Duration::from_secs(args.linger)).await;
    Ok(())
}
