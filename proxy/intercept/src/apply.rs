//! Tells the kernel: nftables by netlink, or where it has none, iptables by its programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::iptables;
use crate::nftables::{self, NetlinkError, Transport};
use crate::rule::{Family, Ruleset};

/// How the kernel is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// By netlink, without a program.
    Nftables,
    /// By `iptables-restore` and `ip6tables-restore`.
    Iptables,
}

/// Why rules could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// nftables did not take them.
    #[error(transparent)]
    Nftables(#[from] NetlinkError),
    /// The kernel has other rules than it was told.
    #[error("the kernel has {found:?} rules for chains that were given {expected:?}")]
    Differs {
        /// Rules of each chain as they were planned.
        expected: BTreeMap<String, usize>,
        /// Rules of each chain as they are.
        found: BTreeMap<String, usize>,
    },
    /// A program of iptables cannot be run.
    #[error("failed to run {program}: {error}")]
    Start {
        /// The program.
        program: &'static str,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// A program of iptables failed.
    #[error("{program} failed: {message}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        message: String,
    },
    /// Neither is there.
    #[error(
        "the kernel has no nftables ({nftables}), and iptables does not work either: {iptables}"
    )]
    Neither {
        /// What nftables said.
        nftables: NetlinkError,
        /// What iptables said.
        iptables: Box<ApplyError>,
    },
}

/// Makes the rules, in place of those of an earlier run, and reads them back. With nftables either all of it happens or nothing.
///
/// # Errors
/// When the kernel refuses; the message names what it refused.
pub fn apply(
    ruleset: &Ruleset,
    ipv6: bool,
    backend: Option<Backend>,
) -> Result<Backend, ApplyError> {
    run(
        backend,
        || by_nftables(ruleset),
        || by_iptables(ruleset, ipv6),
    )
}

/// Removes the rules of an earlier run, if there are any.
///
/// # Errors
/// When the kernel refuses.
pub fn cleanup(ruleset: &Ruleset, backend: Option<Backend>) -> Result<Backend, ApplyError> {
    let nftables = || {
        let (request, last) = nftables::remove(ruleset.table);
        Transport::open()?.exchange(&request, last)?;
        Ok(())
    };
    run(backend, nftables, || {
        remove(ruleset, "iptables")?;
        remove(ruleset, "ip6tables")
    })
}

fn run(
    backend: Option<Backend>,
    nftables: impl FnOnce() -> Result<(), ApplyError>,
    iptables: impl FnOnce() -> Result<(), ApplyError>,
) -> Result<Backend, ApplyError> {
    match backend {
        Some(Backend::Nftables) => nftables().map(|()| Backend::Nftables),
        Some(Backend::Iptables) => iptables().map(|()| Backend::Iptables),
        None => match nftables() {
            Ok(()) => Ok(Backend::Nftables),
            Err(ApplyError::Nftables(error)) if error.is_unsupported() => match iptables() {
                Ok(()) => Ok(Backend::Iptables),
                Err(other) => Err(ApplyError::Neither {
                    nftables: error,
                    iptables: Box::new(other),
                }),
            },
            Err(error) => Err(error),
        },
    }
}

fn by_nftables(ruleset: &Ruleset) -> Result<(), ApplyError> {
    let mut transport = Transport::open()?;
    let (request, last) = nftables::replace(ruleset);
    transport.exchange(&request, last)?;
    let (request, last) = nftables::count_request(ruleset.table);
    let found = nftables::counted(&transport.exchange(&request, last)?, ruleset.table);
    let expected: BTreeMap<String, usize> = ruleset
        .chains
        .iter()
        .filter(|chain| !chain.rules.is_empty())
        .map(|chain| (chain.name.to_owned(), chain.rules.len()))
        .collect();
    if found == expected {
        Ok(())
    } else {
        Err(ApplyError::Differs { expected, found })
    }
}

fn by_iptables(ruleset: &Ruleset, ipv6: bool) -> Result<(), ApplyError> {
    remove(ruleset, "iptables")?;
    restore("iptables-restore", &iptables::replace(ruleset, Family::V4))?;
    if ipv6 {
        remove(ruleset, "ip6tables")?;
        restore("ip6tables-restore", &iptables::replace(ruleset, Family::V6))?;
    }
    Ok(())
}

fn remove(ruleset: &Ruleset, program: &'static str) -> Result<(), ApplyError> {
    for words in iptables::removals(ruleset) {
        let mut command = Command::new(program);
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // There may be nothing to remove, so that its end says nothing.
        let started = command.status();
        started.map_err(|error| ApplyError::Start { program, error })?;
    }
    Ok(())
}

fn restore(program: &'static str, text: &str) -> Result<(), ApplyError> {
    let started = Command::new(program)
        .args(["--noflush", "-w"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let failed = |error| ApplyError::Start { program, error };
    let mut child = started.map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // One that ends early says why on its standard error.
        let _ = input.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ApplyError::Failed { program, message })
}
