//! The control plane under load: proxies that ask for everything, and changes.
//!
//! ```text
//! configuration --YAML--> mesh-controller --ADS--> proxies (one stream each, in this process)
//!                                         --ADS--> mesh-proxy processes <--requests-- this process
//! ```

mod configuration;
mod controller;
mod effect;
mod large;
mod private;
mod proxies;
mod sidecar;
mod sync;

use std::path::{Path, PathBuf};
use std::time::Duration;

use configuration::Configuration;

/// What to measure, and with what.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the release binaries `mesh-controller` and `mesh-proxy`
    #[arg(long)]
    binaries: PathBuf,
    /// What to measure; may be given more than once
    #[arg(long = "case", value_enum, default_values_t = [Case::Sync, Case::Large, Case::Private, Case::Effect])]
    cases: Vec<Case>,
    /// Proxies that connect in the case `sync`; may be given more than once
    #[arg(long, default_values_t = [100, 1000])]
    proxies: Vec<usize>,
    /// Services, in all cases but `large`
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Endpoints of each service
    #[arg(long, default_value_t = 10)]
    endpoints: usize,
    /// Namespaces that the services and proxies are spread over, in all cases but `large`
    #[arg(long, default_value_t = 20)]
    namespaces: usize,
    /// Services of the case `large`
    #[arg(long, default_value_t = 10_000)]
    large_services: usize,
    /// Namespaces of the case `large`, and its proxies
    #[arg(long, default_value_t = 100)]
    large_namespaces: usize,
    /// Changes of each sort in the case `effect`
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// Keep the control plane running for so many seconds after a case, for profilers
    #[arg(long, default_value_t = 0)]
    linger: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// Many proxies get everything, then a rule for all, a private rule and an endpoint change
    Sync,
    /// Many services and namespaces, with one proxy for each namespace
    Large,
    /// A Service that only its own namespace sees, beside none
    Private,
    /// From a change to requests of real proxies that show it
    Effect,
}

// === impl Args ===

impl Args {
    /// The mesh of all cases but `large`, below a directory.
    fn configuration(&self, directory: &Path, has_private_service: bool) -> Configuration {
        Configuration {
            directory: directory.join("config"),
            services: self.services,
            endpoints: self.endpoints,
            namespaces: self.namespaces,
            has_private_service,
        }
    }
}

/// Longest time for all proxies to get everything.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long nothing must arrive before a push counts as over.
const QUIET: Duration = Duration::from_secs(1);

/// Measures each case with control planes of its own.
///
/// # Errors
/// When the control plane does not start, or proxies do not get what they should.
pub fn run(args: &Args) -> anyhow::Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for case in &args.cases {
        match case {
            Case::Sync => {
                for &count in &args.proxies {
                    runtime.block_on(sync::run(args, count))?;
                }
            }
            Case::Large => runtime.block_on(large::run(args))?,
            Case::Private => runtime.block_on(private::run(args))?,
            Case::Effect => effect::run(args)?,
        }
    }
    Ok(())
}

/// A thousand proxies are a thousand sockets; the usual soft limit is lower.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
