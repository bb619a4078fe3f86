//! The control plane under test, over a directory of YAML.

use std::path::Path;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::configuration::Configuration;
use crate::process::{Process, free_port, get};

/// A running control plane.
pub struct Controller {
    process: Process,
    /// `HOST:PORT` of xDS in plain text.
    pub xds: String,
}

/// What it has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Resident memory now.
    pub mib: f64,
    /// Most resident memory so far.
    pub peak_mib: f64,
}

// === impl Controller ===

impl Controller {
    /// Starts it and waits until it has read everything.
    pub fn start(
        binaries: &Path,
        configuration: &Configuration,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let (xds, monitoring) = (free_port()?, free_port()?);
        let command = [
            binaries.join("mesh-controller").display().to_string(),
            "discovery".to_owned(),
            format!("--configDir={}", configuration.directory.display()),
            format!("--plaintext-xds=127.0.0.1:{xds}"),
            format!("--monitoringAddr=127.0.0.1:{monitoring}"),
            "--httpAddr=".to_owned(),
            "--log_output_level=warn".to_owned(),
        ];
        let mut process = Process::start("controller", None, &command, log)?;
        process.wait_for(([127, 0, 0, 1], xds).into())?;
        let began = Instant::now();
        let ready = || get(([127, 0, 0, 1], monitoring).into(), "/ready");
        while !ready().is_ok_and(|answer| answer.contains(" 200 ")) {
            anyhow::ensure!(began.elapsed() < PATIENCE, "the control plane is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self {
            process,
            xds: format!("127.0.0.1:{xds}"),
        })
    }

    /// What it has used so far.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let mib = |kib: u64| kib as f64 / 1024.0;
        Ok(Usage {
            cpu: self.process.cpu()?,
            mib: mib(self.process.resident_kib()?),
            peak_mib: mib(self.process.peak_kib()?),
        })
    }

    /// Prints what it has used after reading the configuration.
    pub fn print_idle(&self) -> anyhow::Result<()> {
        let Usage { cpu, mib, .. } = self.usage()?;
        println!(
            "  no proxy            {mib:>7.1} MiB, {:.2} s CPU to read it all",
            cpu.as_secs_f64()
        );
        Ok(())
    }
}
