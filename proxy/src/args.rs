//! The words after the program's name: `proxy sidecar --domain default.svc.cluster.local ...`.
//!
//! They are those that Istio's injector and gateway charts pass to `pilot-agent`, and a few of our own. Only parsed here: what they
//! mean together with the environment is up to [`crate::bootstrap`]. An option that neither Istio nor we know is an error, because a
//! misspelt option that is ignored changes what a proxy does without anybody seeing it.

use std::ffi::OsString;
use std::net::SocketAddr;

use http::Method;
use mesh_ir::ProxyKind;

/// What the words ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a proxy.
    Proxy(Args),
    /// Ask the admin interface of the proxy that runs here.
    Request(AdminRequest),
    /// Print how to use the program.
    Help,
    /// Print the version.
    Version,
}

/// The options of `proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// `sidecar` or `router`.
    pub kind: ProxyKind,
    /// Domain of short names, `NAMESPACE.svc.cluster.local`.
    pub domain: Option<String>,
    /// Number of workers; 0 is one for each CPU.
    pub concurrency: Option<usize>,
    /// Control plane without TLS; loopback only.
    pub xds_plaintext: Option<SocketAddr>,
    /// Where the admin interface listens.
    pub admin_address: Option<SocketAddr>,
    /// Service cluster of the node.
    pub service_cluster: Option<String>,
    /// Level of the proxy's own log, in Envoy's words.
    pub proxy_log_level: Option<String>,
    /// Level of the log as a whole, `default:info` or `info`.
    pub log_output_level: Option<String>,
    /// Whether log lines are JSON.
    pub log_as_json: bool,
}

/// A request of the admin interface: `request METHOD PATH [BODY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminRequest {
    /// Such as `GET`.
    pub method: Method,
    /// With its query; begins with a slash.
    pub path: String,
    /// Empty without one.
    pub body: String,
}

/// Why words cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidArgs {
    /// The command is missing or unknown.
    #[error(
        "{0:?} is no command; run it as: proxy sidecar|router [OPTIONS], or: request METHOD PATH [BODY]; see --help"
    )]
    Command(String),
    /// The words after `request` are too few, too many or malformed.
    #[error("{0}; run it as: request METHOD PATH [BODY], such as: request GET stats")]
    Request(String),
    /// The role is missing or unknown.
    #[error("{0:?} is no role of a proxy; there are: sidecar, router")]
    Role(String),
    /// An option is unknown.
    #[error("there is no option {0}; see --help")]
    Unknown(String),
    /// An option has no value.
    #[error("the option {0} needs a value")]
    Missing(String),
    /// A value is of the wrong form.
    #[error("the option {name} cannot be {value:?}: {reason}")]
    Value {
        /// The option.
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

/// An option: its name, what it is for, and what to do with its value.
struct Opt {
    name: &'static str,
    value: &'static str,
    help: &'static str,
    apply: fn(&mut Args, &str) -> Result<(), String>,
}

/// Every option.
const OPTIONS: [Opt; 9] = [
    Opt {
        name: "domain",
        value: "DOMAIN",
        help: "domain of short names (default: NAMESPACE.svc.cluster.local)",
        apply: |args, value| {
            args.domain = Some(value.to_owned());
            Ok(())
        },
    },
    Opt {
        name: "concurrency",
        value: "N",
        help: "number of workers; 0 is one for each CPU (default: of the proxy's configuration)",
        apply: |args, value| {
            let workers = value.parse().map_err(|_| "not a whole number".to_owned());
            args.concurrency = Some(workers?);
            Ok(())
        },
    },
    Opt {
        name: "xds-plaintext",
        value: "IP:PORT",
        help: "control plane without TLS, on a loopback address; for tests",
        apply: |args, value| {
            let address = address(value)?;
            if !address.ip().is_loopback() {
                return Err("the control plane is reached without TLS on loopback only".to_owned());
            }
            args.xds_plaintext = Some(address);
            Ok(())
        },
    },
    Opt {
        name: "admin-address",
        value: "IP:PORT",
        help: "where the admin interface listens (default: 127.0.0.1:15000)",
        apply: |args, value| {
            args.admin_address = Some(address(value)?);
            Ok(())
        },
    },
    Opt {
        name: "serviceCluster",
        value: "NAME",
        help: "service cluster of the node (default: APP.NAMESPACE)",
        apply: |args, value| {
            args.service_cluster = Some(value.to_owned());
            Ok(())
        },
    },
    Opt {
        name: "proxyLogLevel",
        value: "LEVEL",
        help: "trace, debug, info, warning, error, critical or off (default: warning)",
        apply: |args, value| {
            args.proxy_log_level = Some(value.to_owned());
            Ok(())
        },
    },
    Opt {
        name: "log_output_level",
        value: "LEVEL",
        help: "the same in Istio's form, default:info",
        apply: |args, value| {
            args.log_output_level = Some(value.to_owned());
            Ok(())
        },
    },
    Opt {
        name: "log_as_json",
        value: "",
        help: "log lines as JSON",
        apply: |args, value| {
            args.log_as_json = value != "false";
            Ok(())
        },
    },
    Opt {
        name: "proxyComponentLogLevel",
        value: "NAME:LEVEL,...",
        help: "taken for the sake of Istio's charts; the components of this proxy have one level",
        apply: |_, _| Ok(()),
    },
];

/// Options of Istio's agent that have no meaning here but stand in its charts: their values are skipped.
const SKIPPED: [&str; 6] = [
    "stsPort",
    "tokenManagerPlugin",
    "meshConfig",
    "templateFile",
    "outlierLogPath",
    "log_target",
];

fn address(value: &str) -> Result<SocketAddr, String> {
    value
        .parse()
        .map_err(|_| "not of the form IP:PORT".to_owned())
}

/// Reads the words.
///
/// # Errors
/// When a word is unknown, missing or malformed.
pub fn parse(words: Vec<OsString>) -> Result<Command, InvalidArgs> {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| word.into_string().map_err(InvalidArgs::Encoding))
        .collect::<Result<_, _>>()?;
    let mut words = words.into_iter();
    match words.next().unwrap_or_default().as_str() {
        "proxy" => {}
        "request" => return request(&words.collect::<Vec<_>>()),
        "-h" | "--help" | "help" => return Ok(Command::Help),
        "-V" | "--version" | "version" => return Ok(Command::Version),
        other => return Err(InvalidArgs::Command(other.to_owned())),
    }
    let kind = match words.next().unwrap_or_default().as_str() {
        "sidecar" => ProxyKind::Sidecar,
        "router" => ProxyKind::Gateway,
        "-h" | "--help" => return Ok(Command::Help),
        other => return Err(InvalidArgs::Role(other.to_owned())),
    };
    let mut args = Args::new(kind);
    while let Some(word) = words.next() {
        if word == "-h" || word == "--help" {
            return Ok(Command::Help);
        }
        args.take(word, &mut words)?;
    }
    Ok(Command::Proxy(args))
}

/// Reads the words after `request`.
fn request(words: &[String]) -> Result<Command, InvalidArgs> {
    let (method, path, body) = match words {
        [word, ..] if word == "-h" || word == "--help" => return Ok(Command::Help),
        [method, path] => (method, path, ""),
        [method, path, body] => (method, path, body.as_str()),
        _ => {
            return Err(InvalidArgs::Request(format!(
                "{} words instead of two or three",
                words.len()
            )));
        }
    };
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| InvalidArgs::Request(format!("{method:?} is no method of HTTP")))?;
    Ok(Command::Request(AdminRequest {
        method,
        path: format!("/{}", path.trim_start_matches('/')),
        body: body.to_owned(),
    }))
}

/// How to use the program.
pub fn help() -> String {
    let mut text = String::from(
        "The data plane of the mesh: forwards a workload's or a gateway's traffic as the control plane says.\n\n\
         Usage: proxy sidecar|router [OPTIONS]\n\nOptions:\n",
    );
    for Opt {
        name, value, help, ..
    } in &OPTIONS
    {
        let usage = format!("--{name} {value}");
        text.push_str(&format!("  {usage:<42} {help}\n"));
    }
    text.push_str(
        "\n`request METHOD PATH [BODY]` asks the admin interface of the proxy that runs here, such as `request GET stats`.\n\
         \nBeside that, `intercept` (also: istio-iptables) redirects a pod's traffic to its proxy; see intercept --help.\n\
         \nThe environment says which pod this is (POD_NAME, POD_NAMESPACE, INSTANCE_IP, ISTIO_META_...), and PROXY_CONFIG\n\
         holds the rest of the configuration, as Istio's injector writes it.\n",
    );
    text
}

// === impl Args ===

impl Args {
    /// A proxy without options.
    pub fn new(kind: ProxyKind) -> Self {
        Self {
            kind,
            domain: None,
            concurrency: None,
            xds_plaintext: None,
            admin_address: None,
            service_cluster: None,
            proxy_log_level: None,
            log_output_level: None,
            log_as_json: false,
        }
    }

    /// Takes one option, `--name=value` or `--name value`.
    fn take(
        &mut self,
        word: String,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), InvalidArgs> {
        let Some(option) = word.strip_prefix("--") else {
            return Err(InvalidArgs::Unknown(word));
        };
        let (name, given) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        let known = OPTIONS.iter().find(|known| known.name == name);
        if known.is_none() && !SKIPPED.contains(&name) {
            return Err(InvalidArgs::Unknown(format!("--{name}")));
        }
        let is_switch = known.is_some_and(|known| known.value.is_empty());
        let value = match given {
            Some(value) => value,
            None if is_switch => String::new(),
            None => rest
                .next()
                .ok_or_else(|| InvalidArgs::Missing(format!("--{name}")))?,
        };
        let Some(known) = known else { return Ok(()) };
        (known.apply)(self, &value).map_err(|reason| InvalidArgs::Value {
            name: format!("--{name}"),
            value,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Command, InvalidArgs> {
        parse(text.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn what_injection_passes_is_understood() {
        let command = words(
            "proxy sidecar --domain a.svc.cluster.local --proxyLogLevel=warning \
             --proxyComponentLogLevel=misc:error --log_output_level=default:info --stsPort 15463 --concurrency=2",
        );
        let expected = Args {
            domain: Some("a.svc.cluster.local".into()),
            proxy_log_level: Some("warning".into()),
            log_output_level: Some("default:info".into()),
            concurrency: Some(2),
            ..Args::new(ProxyKind::Sidecar)
        };
        assert_eq!(command, Ok(Command::Proxy(expected)));
    }

    #[test]
    fn standalone_options_are_understood() {
        let command =
            words("proxy router --xds-plaintext=127.0.0.1:15010 --admin-address 127.0.0.2:1");
        let expected = Args {
            xds_plaintext: Some(([127, 0, 0, 1], 15010).into()),
            admin_address: Some(([127, 0, 0, 2], 1).into()),
            ..Args::new(ProxyKind::Gateway)
        };
        assert_eq!(command, Ok(Command::Proxy(expected)));
        assert_eq!(words("proxy sidecar --help"), Ok(Command::Help));
        assert!(help().contains("--xds-plaintext IP:PORT"));
    }

    #[test]
    fn requests_of_the_admin_interface_are_understood() {
        let request = |method, path: &str, body: &str| {
            Ok(Command::Request(AdminRequest {
                method,
                path: path.to_owned(),
                body: body.to_owned(),
            }))
        };
        assert_eq!(
            words("request GET stats?format=json"),
            request(Method::GET, "/stats?format=json", "")
        );
        assert_eq!(
            words("request post /logging x"),
            request(Method::POST, "/logging", "x")
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("", "\"\" is no command"),
            ("request GET", "1 words instead of two or three"),
            ("request G{T stats", "is no method of HTTP"),
            ("proxy waypoint", "\"waypoint\" is no role"),
            ("proxy sidecar --domian x", "no option --domian"),
            ("proxy sidecar x", "no option x"),
            ("proxy sidecar --concurrency", "--concurrency needs a value"),
            ("proxy sidecar --concurrency=many", "not a whole number"),
            (
                "proxy router --xds-plaintext 10.0.0.1:15010",
                "loopback only",
            ),
            ("proxy router --admin-address=x", "not of the form IP:PORT"),
        ] {
            let error = words(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
