//! Where a program listens and how it reaches others, read once from the environment.
//!
//! [`Config::from_vars`] is a pure function of the variables, so that every rule is tested without
//! touching the process environment. All mistakes are reported together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;

/// How long open requests may take after SIGTERM before their connections are cut.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What a program needs to know about the place it runs in.
#[derive(Debug)]
pub struct Config {
    /// Address to listen on: `MESH_BIND_ADDRESS`, 0.0.0.0 when unset.
    pub bind: IpAddr,
    /// Port to listen on: `PORT`; `None` means the program's own default. 0 picks a free one.
    pub port: Option<u16>,
    /// A socket that already listens. It takes precedence over `bind` and `port`.
    pub listener: Option<TcpListener>,
    /// Command line arguments after the program's name. Only `hello` and `world` have any.
    pub args: Vec<String>,
    /// HTTP proxy for outgoing calls: `http_proxy`, else `HTTP_PROXY`; with or without `http://`.
    pub proxy: Option<Authority>,
    /// Hosts file that is asked before DNS when there is no proxy: `MESH_HOSTS`.
    pub hosts: Option<PathBuf>,
    /// Source address of direct outgoing connections: `MESH_POD_ADDRESS`. A machine that runs many
    /// pods on loopback addresses can tell callers apart only by it.
    pub source: Option<IpAddr>,
    /// Time for open requests to end after SIGTERM; 10 s.
    pub grace: Duration,
    /// All variables, for the settings of single programs such as `RATINGS_HOSTNAME`.
    vars: BTreeMap<String, String>,
}

/// Every variable that could not be understood, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("invalid environment: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

impl Config {
    /// Reads the process environment. Variables that are not UTF-8 are left out.
    ///
    /// # Errors
    /// Names every variable of this crate that has a malformed value.
    pub fn from_env() -> Result<Config, ConfigError> {
        let utf8 = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Config::from_vars(std::env::vars_os().filter_map(utf8).collect())
    }

    /// The configuration that these variables mean. Empty values count as unset.
    ///
    /// # Errors
    /// Names every variable of this crate that has a malformed value.
    pub fn from_vars(vars: BTreeMap<String, String>) -> Result<Config, ConfigError> {
        let mut vars = vars;
        vars.retain(|_, value| !value.is_empty());
        let mut wrong = Vec::new();
        let bind = parsed(&vars, "MESH_BIND_ADDRESS", "an IP address", &mut wrong);
        let port = parsed(&vars, "PORT", "a port number from 0 to 65535", &mut wrong);
        let source = parsed(&vars, "MESH_POD_ADDRESS", "an IP address", &mut wrong);
        let proxy = proxy(&vars, &mut wrong);
        if !wrong.is_empty() {
            return Err(ConfigError(wrong));
        }
        Ok(Config {
            bind: bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port,
            listener: None,
            args: Vec::new(),
            proxy,
            hosts: vars.get("MESH_HOSTS").map(PathBuf::from),
            source,
            grace: DEFAULT_GRACE,
            vars,
        })
    }

    /// The same configuration with these command line arguments.
    #[must_use]
    pub fn with_args(mut self, args: impl IntoIterator<Item = String>) -> Config {
        self.args = args.into_iter().collect();
        self
    }

    /// The same configuration on a socket that already listens.
    #[must_use]
    pub fn with_listener(mut self, listener: TcpListener) -> Config {
        self.listener = Some(listener);
        self
    }

    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// `SERVICE_VERSION`, or the version that the program's name carries.
    pub(crate) fn version(&self, of_program: &str) -> String {
        self.var("SERVICE_VERSION").unwrap_or(of_program).to_owned()
    }

    /// The name of this pod: `POD_NAME` by the downward API, else `HOSTNAME`, which Kubernetes sets
    /// to the pod's name.
    pub(crate) fn pod_name(&self) -> String {
        let name = self.var("POD_NAME").or_else(|| self.var("HOSTNAME"));
        name.unwrap_or("localhost").to_owned()
    }
}

fn parsed<T: std::str::FromStr>(
    vars: &BTreeMap<String, String>,
    name: &str,
    expected: &str,
    wrong: &mut Vec<String>,
) -> Option<T> {
    let text = vars.get(name)?;
    let value = text.trim().parse().ok();
    if value.is_none() {
        wrong.push(format!("{name} is {text:?}, expected {expected}"));
    }
    value
}

fn proxy(vars: &BTreeMap<String, String>, wrong: &mut Vec<String>) -> Option<Authority> {
    let (name, text) = ["http_proxy", "HTTP_PROXY"]
        .into_iter()
        .find_map(|name| vars.get(name).map(|text| (name, text.trim())))?;
    let without_scheme = text.strip_prefix("http://").unwrap_or(text);
    let authority = without_scheme.trim_end_matches('/').parse::<Authority>();
    match authority {
        Ok(authority) if !authority.host().is_empty() => Some(authority),
        _ => {
            wrong.push(format!(
                "{name} does not name a proxy, expected http://HOST:PORT"
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Config::from_vars(pairs.iter().map(owned).collect())
    }

    #[test]
    fn defaults_without_any_variable() {
        let config = config(&[]).unwrap();
        assert_eq!(config.bind.to_string(), "0.0.0.0");
        assert_eq!((config.port, config.proxy.is_none()), (None, true));
        assert_eq!(config.version("v2"), "v2");
    }

    #[test]
    fn a_proxy_needs_no_scheme_and_lower_case_wins() {
        let config = config(&[("http_proxy", "node-1:4140"), ("HTTP_PROXY", "http://b:1")]);
        let proxy = config.unwrap().proxy.unwrap();
        assert_eq!((proxy.host(), proxy.port_u16()), ("node-1", Some(4140)));
    }

    #[test]
    fn empty_means_unset() {
        let config = config(&[("http_proxy", ""), ("PORT", ""), ("SERVICE_VERSION", "")]).unwrap();
        assert_eq!((config.port, config.proxy.is_none()), (None, true));
        assert_eq!(config.version("v1"), "v1");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let error = config(&[
            ("PORT", "http"),
            ("MESH_BIND_ADDRESS", "here"),
            ("http_proxy", "https://x y"),
        ])
        .unwrap_err()
        .to_string();
        for name in ["PORT", "MESH_BIND_ADDRESS", "http_proxy"] {
            assert!(error.contains(name), "{error}");
        }
    }
}
