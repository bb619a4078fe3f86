//! The processes under test: started on a core of their own, measured through `/proc`, ended with this program.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// A process under test. Ends when dropped.
pub struct Process {
    child: Child,
    name: String,
}

// === impl Process ===

impl Process {
    /// Starts a command on a core; its output goes to a file.
    pub fn start(
        name: &str,
        core: Option<usize>,
        command: &[String],
        log: &Path,
    ) -> anyhow::Result<Self> {
        Self::start_with(name, core, command, &[], log)
    }

    /// Starts a command on a core with more environment; its output goes to a file.
    pub fn start_with(
        name: &str,
        core: Option<usize>,
        command: &[String],
        environment: &[(&str, String)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = std::fs::File::create(log.join(format!("{name}.log")))?;
        let pinned: Vec<String> = core
            .map(|core| vec!["taskset".to_owned(), "-c".to_owned(), core.to_string()])
            .unwrap_or_default()
            .into_iter()
            .chain(command.iter().cloned())
            .collect();
        let child = Command::new(&pinned[0])
            .args(&pinned[1..])
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to start {}", pinned.join(" ")))?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    /// CPU time of all threads so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text
                .split(' ')
                .next()
                .and_then(|first| first.parse::<u64>().ok())
                .unwrap_or(0);
        }
        anyhow::ensure!(
            nanoseconds > 0,
            "{} is gone, or this kernel has no schedstat",
            self.name
        );
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory now, in KiB.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// Most resident memory so far, in KiB.
    pub fn peak_kib(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// Waits until a port answers.
    pub fn wait_for(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("{} ended with {status}; see its log", self.name);
            }
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("{} does not listen on {address}; see its log", self.name)
    }

    fn status(&self, field: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .context("no such field")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free loopback port.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

/// GETs a path and gives the whole answer.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
