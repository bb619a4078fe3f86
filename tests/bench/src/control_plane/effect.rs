//! From a change of the configuration to requests that show it: real proxies, each asked every few milliseconds.
//!
//! Times begin before the file is written, so they hold the control plane's file watch as well, and end with the answer, so they hold a
//! request and on the average half of the time between two.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::controller::Controller;
use super::sidecar::Sidecar;
use super::{Args, PATIENCE};

const PROXIES: usize = 10;
/// Time between two changes: the first of them goes out at once, so they must not look like a storm.
const REST: Duration = Duration::from_millis(300);

/// What is changed, and seen in the answers.
#[derive(Clone, Copy, Debug)]
enum Sort {
    /// The rule of a host.
    Rule,
    /// The only endpoint of a service.
    Endpoint,
}

/// Measures it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    println!(
        "\nchange -> effective in requests, {} services, {PROXIES} proxies, {} changes of each sort",
        args.services, args.rounds
    );
    let directory = tempfile::tempdir()?;
    let configuration = args.configuration(directory.path(), false);
    configuration.write()?;
    let backends = [super::sidecar::backend("0")?, super::sidecar::backend("1")?];
    configuration.answer(0)?;
    configuration.serve_at(backends[0])?;
    let controller = Controller::start(&args.binaries, &configuration, directory.path())?;
    let sidecars = (0..PROXIES)
        .map(|number| Sidecar::start(&args.binaries, &controller.xds, number, directory.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let before = controller.usage()?;
    for sort in [Sort::Rule, Sort::Endpoint] {
        let url = match sort {
            Sort::Rule => configuration.ruled_url(),
            Sort::Endpoint => configuration.moved_url(),
        };
        let mut times = Vec::new();
        for round in 0..=args.rounds {
            let expected = match sort {
                Sort::Rule => round + 1,
                Sort::Endpoint => (round + 1) % 2,
            };
            let began = Instant::now();
            match sort {
                Sort::Rule => configuration.answer(expected)?,
                Sort::Endpoint => configuration.serve_at(backends[expected])?,
            }
            let found = wait_for_all(&sidecars, &url, &expected.to_string(), began)?;
            // The first round is for connections.
            if round > 0 {
                times.extend(found);
            }
            std::thread::sleep(REST);
        }
        times.sort();
        let at = |share: usize| {
            times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3
        };
        println!(
            "  {:19} p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
            format!("{sort:?}").to_lowercase(),
            at(50),
            at(90),
            at(99),
            at(100),
        );
    }
    let used = controller.usage()?.cpu.saturating_sub(before.cpu);
    println!(
        "  CPU of the control plane for a change: {:.1} ms",
        used.as_secs_f64() * 1e3 / (2 * (args.rounds + 1)) as f64
    );
    Ok(())
}

/// How long it took from `began` until each proxy's answer was the expected one.
fn wait_for_all(
    sidecars: &[Sidecar],
    url: &str,
    expected: &str,
    began: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let (sender, found) = mpsc::channel();
    std::thread::scope(|scope| {
        for sidecar in sidecars {
            let sender = sender.clone();
            scope.spawn(move || sender.send(sidecar.wait_for(url, expected, PATIENCE)));
        }
        drop(sender);
        found
            .iter()
            .map(|at| Ok(at?.duration_since(began)))
            .collect()
    })
}
