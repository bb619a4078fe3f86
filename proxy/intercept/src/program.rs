//! The program: words in, exit code out.

use std::ffi::OsString;
use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;

use mesh_ir::HostView;

use crate::apply::{Backend, apply, cleanup};
use crate::options::{self, Command, Run};
use crate::plan::plan;
use crate::settings::Dns;

/// Exit code for words that cannot be understood.
const USAGE: u8 = 64;

/// The program's own name, and Istio's names of what it does.
pub const COMMANDS: [&str; 3] = ["intercept", "istio-iptables", CLEAN];

/// Whether DNS is redirected where no flag says so: an item of the mesh's `proxyMetadata`, which the injector passes on.
const CAPTURE_DNS: &str = "ISTIO_META_DNS_CAPTURE";

/// Istio's name of a run that removes the rules.
const CLEAN: &str = "istio-clean-iptables";

/// Runs `intercept [OPTIONS]`, or one of the other names, to its end. The rules are those of the network namespace it runs in.
pub fn main(words: Vec<OsString>) -> ExitCode {
    let mut words = words.into_iter();
    let clean = words.next().is_some_and(|name| name == CLEAN);
    let mut run = match options::parse(words.collect()) {
        Ok(Command::Run(run)) => run,
        Ok(Command::Help) => return print(&options::help()),
        Err(error) => return fail(&error.to_string(), USAGE),
    };
    run.cleanup |= clean;
    let (view, mistakes) = HostView::read(|name| std::env::var(name).ok());
    if !mistakes.is_empty() {
        return fail(&mistakes.join("; "), USAGE);
    }
    if view.addresses.is_some() && !run.dry_run {
        return say(
            "nothing to redirect: the proxy holds the pod's address, and programs reach it as an HTTP proxy",
        );
    }
    run.settings.proxy_mark = view.proxy_mark;
    if let Err(mistake) = resolve(&mut run) {
        return fail(&mistake, USAGE);
    }
    let ruleset = plan(&run.settings);
    if run.dry_run {
        return print(&ruleset.to_string());
    }
    let outcome = match run.cleanup {
        true => cleanup(&ruleset, run.backend),
        false => apply(&ruleset, run.settings.ipv6, run.backend),
    };
    let done = match run.cleanup {
        true => "removed the rules that redirected traffic",
        false => "redirecting traffic to the proxy",
    };
    match outcome {
        Ok(Backend::Nftables) => say(&format!("{done} (nftables)")),
        Ok(Backend::Iptables) => say(&format!("{done} (iptables)")),
        Err(error) => fail(&format!("failed to redirect traffic: {error}"), 1),
    }
}

/// What depends on the pod: its DNS servers, and whether it has IPv6.
fn resolve(run: &mut Run) -> Result<(), String> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    run.settings.ipv6 = run
        .ipv6
        .unwrap_or_else(|| has_ipv6(&read("/proc/net/if_inet6")));
    let dns = match run.dns {
        Some(dns) => dns,
        None => captures_dns(&std::env::var(CAPTURE_DNS).unwrap_or_default())?,
    };
    run.settings.dns = match (dns, run.all_dns) {
        (_, true) => Dns::All,
        (true, false) => Dns::Servers(servers(&read("/etc/resolv.conf"))),
        (false, false) => Dns::Untouched,
    };
    Ok(())
}

/// What the variable says of DNS, in the forms that Go understands.
fn captures_dns(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{CAPTURE_DNS} is {text:?}, expected true or false")),
    }
}

/// Whether the kernel's list of IPv6 addresses has one that others can reach: neither of the loopback interface nor of a link only.
fn has_ipv6(list: &str) -> bool {
    const OF_EVERYWHERE: &str = "00";
    list.lines()
        .any(|line| line.split_whitespace().nth(3) == Some(OF_EVERYWHERE))
}

/// The servers of a `resolv.conf`.
fn servers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    lines.filter_map(|server| server.parse().ok()).collect()
}

fn print(text: &str) -> ExitCode {
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn say(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
    ExitCode::SUCCESS
}

fn fail(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_link_are_no_ipv6() {
        let local = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe80000000000000f8a5a4fffe0b1c2d 02 40 20 80     eth0\n";
        assert!(!has_ipv6(local));
        assert!(!has_ipv6(""));
        let global = "fd00000000000000f8a5a4fffe0b1c2d 02 40 00 80     eth0\n";
        assert!(has_ipv6(&format!("{local}{global}")));
    }

    #[test]
    fn the_environment_says_whether_dns_is_captured() {
        assert_eq!(captures_dns("true"), Ok(true));
        assert_eq!(captures_dns(""), Ok(false));
        assert!(captures_dns("on").is_err());
    }

    #[test]
    fn servers_of_resolv_conf_are_read() {
        let text = "search a.svc.cluster.local\nnameserver 10.96.0.10\nnameserver fd00::a\n# nameserver 1.1.1.1\noptions ndots:5\n";
        let expected: Vec<IpAddr> = vec!["10.96.0.10".parse().unwrap(), "fd00::a".parse().unwrap()];
        assert_eq!(servers(text), expected);
    }
}
