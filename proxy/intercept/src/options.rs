//! The words of `istio-iptables`, as Istio's injector and ours pass them.
//!
//! A flag that Istio has and that is not obeyed is an error that names it: rules that differ from what was asked for would not be seen
//! until traffic goes astray.

use std::ffi::OsString;

use mesh_ir::Cidr;

use crate::apply::Backend;
use crate::settings::{Selection, Settings};

/// What the words ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Apply rules, or remove or print them.
    Run(Box<Run>),
    /// Print how to use the program.
    Help,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is redirected. Its `dns` and `ipv6` are [`crate::program`]'s to decide, with the pod's files at hand.
    pub settings: Settings,
    /// Whether DNS is redirected; none for what the environment says.
    pub dns: Option<bool>,
    /// Whether DNS is redirected whatever the server, not only to the servers of `/etc/resolv.conf`.
    pub all_dns: bool,
    /// Whether IPv6 is redirected; none for what the pod's addresses say.
    pub ipv6: Option<bool>,
    /// How the kernel is told; none for what is there.
    pub backend: Option<Backend>,
    /// Whether the rules are removed.
    pub cleanup: bool,
    /// Whether the rules are only printed.
    pub dry_run: bool,
}

/// Why words cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOptions {
    /// There is no such flag.
    #[error("there is no option {0}; see --help")]
    Unknown(String),
    /// Istio has the flag, and it is not obeyed.
    #[error("the option {0} is not supported")]
    Unsupported(String),
    /// A flag has no value.
    #[error("the option {0} needs a value")]
    Missing(String),
    /// A value is of the wrong form.
    #[error("the option {name} cannot be {value:?}: {reason}")]
    Value {
        /// The flag.
        name: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A word is not UTF-8.
    #[error("{0:?} is not UTF-8")]
    Encoding(OsString),
}

/// A flag.
struct Opt {
    short: &'static str,
    long: &'static str,
    /// What stands for its value in the help; empty for a switch.
    value: &'static str,
    help: &'static str,
    take: fn(&mut Run, &str) -> Result<(), String>,
}

/// Every flag.
const OPTIONS: [Opt; 20] = [
    Opt {
        short: "p",
        long: "envoy-port",
        value: "PORT",
        help: "where outbound connections are redirected to (default: 15001)",
        take: |run, text| set(&mut run.settings.outbound_port, port(text)),
    },
    Opt {
        short: "z",
        long: "inbound-capture-port",
        value: "PORT",
        help: "where inbound connections are redirected to (default: 15006)",
        take: |run, text| set(&mut run.settings.inbound_port, port(text)),
    },
    Opt {
        short: "e",
        long: "inbound-tunnel-port",
        value: "PORT",
        help: "port of tunnelled traffic, which is not redirected (default: 15008)",
        take: |run, text| set(&mut run.settings.tunnel_port, port(text)),
    },
    Opt {
        short: "u",
        long: "proxy-uid",
        value: "UIDS",
        help: "users whose connections are not redirected (default: 1337)",
        take: |run, text| set(&mut run.settings.proxy_users, list(text, id)),
    },
    Opt {
        short: "g",
        long: "proxy-gid",
        value: "GIDS",
        help: "groups whose connections are not redirected (default: 1337)",
        take: |run, text| set(&mut run.settings.proxy_groups, list(text, id)),
    },
    Opt {
        short: "m",
        long: "istio-inbound-interception-mode",
        value: "MODE",
        help: "REDIRECT is the only one (default: REDIRECT)",
        take: |_, text| match text {
            "REDIRECT" | "" => Ok(()),
            _ => Err("only REDIRECT is supported".to_owned()),
        },
    },
    Opt {
        short: "b",
        long: "istio-inbound-ports",
        value: "PORTS",
        help: "inbound ports that are redirected: * or a list with commas; none if empty (default: *)",
        take: |run, text| {
            set(
                &mut run.settings.include_inbound_ports,
                selection(text, port),
            )
        },
    },
    Opt {
        short: "d",
        long: "istio-local-exclude-ports",
        value: "PORTS",
        help: "inbound ports that are not redirected",
        take: |run, text| set(&mut run.settings.exclude_inbound_ports, list(text, port)),
    },
    Opt {
        short: "i",
        long: "istio-service-cidr",
        value: "NETWORKS",
        help: "destination networks that are redirected: * or a list with commas; none if empty (default: *)",
        take: |run, text| {
            set(
                &mut run.settings.include_outbound_networks,
                selection(text, network),
            )
        },
    },
    Opt {
        short: "x",
        long: "istio-service-exclude-cidr",
        value: "NETWORKS",
        help: "destination networks that are not redirected",
        take: |run, text| {
            let all = list(text, network).map(|all| all.into_iter().filter(|one| one.length > 0));
            set(
                &mut run.settings.exclude_outbound_networks,
                all.map(Iterator::collect),
            )
        },
    },
    Opt {
        short: "q",
        long: "istio-outbound-ports",
        value: "PORTS",
        help: "destination ports that are redirected whatever the network",
        take: |run, text| {
            set(
                &mut run.settings.include_outbound_ports,
                selection(text, port),
            )
        },
    },
    Opt {
        short: "o",
        long: "istio-local-outbound-ports-exclude",
        value: "PORTS",
        help: "destination ports that are not redirected",
        take: |run, text| set(&mut run.settings.exclude_outbound_ports, list(text, port)),
    },
    Opt {
        short: "c",
        long: "istio-exclude-interfaces",
        value: "NAMES",
        help: "network interfaces that are left alone; a name that ends in + stands for all that begin so",
        take: |run, text| set(&mut run.settings.exclude_interfaces, list(text, interface)),
    },
    Opt {
        short: "k",
        long: "kube-virt-interfaces",
        value: "NAMES",
        help: "interfaces of virtual machines, whose traffic is outbound",
        take: |run, text| {
            set(
                &mut run.settings.virtual_machine_interfaces,
                list(text, interface),
            )
        },
    },
    Opt {
        short: "",
        long: "redirect-dns",
        value: "",
        help: "redirect DNS queries to port 15053, those to the servers of /etc/resolv.conf (default: ISTIO_META_DNS_CAPTURE)",
        take: |run, text| set(&mut run.dns, switch(text).map(Some)),
    },
    Opt {
        short: "",
        long: "capture-all-dns",
        value: "",
        help: "redirect DNS queries to any server",
        take: |run, text| set(&mut run.all_dns, switch(text)),
    },
    Opt {
        short: "",
        long: "ipv6",
        value: "true|false",
        help: "whether IPv6 is redirected (default: if the pod has an IPv6 address)",
        take: |run, text| set(&mut run.ipv6, switch(text).map(Some)),
    },
    Opt {
        short: "",
        long: "backend",
        value: "NAME",
        help: "nftables or iptables (default: nftables, and iptables where the kernel has none)",
        take: |run, text| {
            let backend = match text {
                "nftables" => Ok(Some(Backend::Nftables)),
                "iptables" => Ok(Some(Backend::Iptables)),
                _ => Err("there are nftables and iptables".to_owned()),
            };
            set(&mut run.backend, backend)
        },
    },
    Opt {
        short: "",
        long: "cleanup",
        value: "",
        help: "remove the rules",
        take: |run, text| set(&mut run.cleanup, switch(text)),
    },
    Opt {
        short: "n",
        long: "dry-run",
        value: "",
        help: "print the rules and change nothing",
        take: |run, text| set(&mut run.dry_run, switch(text)),
    },
];

/// Istio's other names of flags.
const ALIASES: [(&str, &str); 2] = [
    ("cleanup-only", "cleanup"),
    ("istio-exclude-cidr", "istio-service-exclude-cidr"),
];

/// Flags of Istio that change nothing here: rules are always made anew and read back, and there is one log.
const SKIPPED: [&str; 6] = [
    "log_output_level",
    "run-validation",
    "force-apply",
    "reconcile",
    "native-nftables",
    "iptables-probe-port",
];

/// Flags of Istio that are not obeyed.
const UNSUPPORTED: [&str; 9] = [
    "istio-inbound-tproxy-mark",
    "istio-inbound-tproxy-route-table",
    "drop-invalid",
    "iptables-trace-logging",
    "network-namespace",
    "cni-mode",
    "dual-stack",
    "skip-rule-apply",
    "restore-format",
];

fn set<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn list<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = text.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).map(read).collect()
}

fn selection<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<Selection<T>, String> {
    match text.trim() {
        "*" => Ok(Selection::All),
        text => list(text, read).map(Selection::Only),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a port number"))
}

fn id(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not the number of a user or group"))
}

fn network(text: &str) -> Result<Cidr, String> {
    text.parse()
        .map_err(|error: mesh_ir::InvalidCidr| error.to_string())
}

fn interface(text: &str) -> Result<String, String> {
    let fits = text.len() < 16
        && !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "/\"".contains(c));
    match fits {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not the name of a network interface")),
    }
}

/// Reads the words after the command's name.
///
/// # Errors
/// When a flag is unknown or not obeyed, or its value is missing or malformed.
pub fn parse(words: Vec<OsString>) -> Result<Command, InvalidOptions> {
    let words = words.into_iter();
    let words: Vec<String> = words
        .map(|word| word.into_string().map_err(InvalidOptions::Encoding))
        .collect::<Result<_, _>>()?;
    let mut run = Run {
        settings: Settings::default(),
        dns: None,
        all_dns: false,
        ipv6: None,
        backend: None,
        cleanup: false,
        dry_run: false,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "-h" || word == "--help" {
            return Ok(Command::Help);
        }
        take(&mut run, &word, &mut words)?;
    }
    Ok(Command::Run(Box::new(run)))
}

/// Takes one flag: `--name=value`, `--name value`, `-n value` or a switch.
fn take(
    run: &mut Run,
    word: &str,
    rest: &mut impl Iterator<Item = String>,
) -> Result<(), InvalidOptions> {
    let (flag, given) = match word.split_once('=') {
        Some((flag, value)) => (flag, Some(value.to_owned())),
        None => (word, None),
    };
    let unknown = || InvalidOptions::Unknown(flag.to_owned());
    let option = match (flag.strip_prefix("--"), flag.strip_prefix('-')) {
        (Some(long), _) => {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == long);
            let long = alias.map_or(long, |(_, name)| *name);
            if UNSUPPORTED.contains(&long) {
                return Err(InvalidOptions::Unsupported(flag.to_owned()));
            }
            if SKIPPED.contains(&long) {
                return Ok(());
            }
            OPTIONS.iter().find(|option| option.long == long)
        }
        (None, Some(short)) => OPTIONS
            .iter()
            .find(|option| !short.is_empty() && option.short == short),
        (None, None) => None,
    };
    let option = option.ok_or_else(unknown)?;
    let value = match given {
        Some(value) => value,
        None if option.value.is_empty() => String::new(),
        None => rest
            .next()
            .ok_or_else(|| InvalidOptions::Missing(flag.to_owned()))?,
    };
    (option.take)(run, &value).map_err(|reason| InvalidOptions::Value {
        name: flag.to_owned(),
        value,
        reason,
    })
}

/// How to use the program.
pub fn help() -> String {
    let mut text = String::from(
        "Redirects the traffic of this network namespace to the proxy in it; running it again makes the rules anew.\n\n\
         Usage: intercept [OPTIONS]   (also: istio-iptables [OPTIONS], istio-clean-iptables)\n\nOptions:\n",
    );
    for option in &OPTIONS {
        let short = match option.short {
            "" => "    ".to_owned(),
            short => format!("-{short}, "),
        };
        let usage = format!("{short}--{} {}", option.long, option.value);
        text.push_str(&format!("  {usage:<52} {}\n", option.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Command, InvalidOptions> {
        parse(text.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn what_injection_passes_is_understood() {
        let command = words(
            "-p 15001 -z 15006 -u 1337 -m REDIRECT -i 10.0.0.0/8,2001:db8::/32 -x 10.1.0.0/16 -b 8080,8081 \
             -d 15090,15021,15020,9999 -q * -o 3306 -c eth1,net+ --log_output_level=default:info",
        );
        let settings = Settings {
            include_outbound_networks: Selection::Only(vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ]),
            exclude_outbound_networks: vec!["10.1.0.0/16".parse().unwrap()],
            include_inbound_ports: Selection::Only(vec![8080, 8081]),
            exclude_inbound_ports: vec![15090, 15021, 15020, 9999],
            include_outbound_ports: Selection::All,
            exclude_outbound_ports: vec![3306],
            exclude_interfaces: vec!["eth1".into(), "net+".into()],
            ..Settings::default()
        };
        let expected = Run {
            settings,
            dns: None,
            all_dns: false,
            ipv6: None,
            backend: None,
            cleanup: false,
            dry_run: false,
        };
        assert_eq!(command, Ok(Command::Run(Box::new(expected))));
    }

    #[test]
    fn empty_values_select_nothing() {
        let words = ["-i", "", "-b", "", "-x", "", "--cleanup"];
        let Ok(Command::Run(run)) = parse(words.map(OsString::from).into()) else {
            panic!("not understood");
        };
        assert!(run.settings.include_outbound_networks.is_empty());
        assert!(run.settings.include_inbound_ports.is_empty());
        assert!(run.cleanup);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("-p", "the option -p needs a value"),
            (
                "-p x",
                "the option -p cannot be \"x\": \"x\" is not a port number",
            ),
            ("-i 10.0.0.0/33", "\"10.0.0.0/33\" is neither an IP address"),
            ("-m TPROXY", "only REDIRECT is supported"),
            ("-c a/b", "\"a/b\" is not the name of a network interface"),
            (
                "--drop-invalid",
                "the option --drop-invalid is not supported",
            ),
            ("--redirect", "there is no option --redirect"),
            ("15001", "there is no option 15001"),
            ("-", "there is no option -"),
        ] {
            let error = words(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn help_names_every_option() {
        let help = help();
        assert!(help.contains("-b, --istio-inbound-ports PORTS"), "{help}");
        assert_eq!(words("-p 1 --help"), Ok(Command::Help));
    }
}
