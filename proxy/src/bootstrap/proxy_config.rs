//! `PROXY_CONFIG`: the mesh's `defaultConfig` with the pod's changes, as JSON.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Environment;

/// How long requests may take to end after SIGTERM where nobody says; Istio's default.
const DRAIN: Duration = Duration::from_secs(5);

/// The start-up configuration. Fields that have no meaning here are not looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ProxyConfig(pub(super) Map<String, Value>);

// === impl ProxyConfig ===

impl ProxyConfig {
    pub(super) fn read(env: &mut Environment) -> Self {
        let config = Self(env.json("PROXY_CONFIG").unwrap_or_default());
        for (key, is_right, expected) in [
            (
                "discoveryAddress",
                Value::is_string as fn(&Value) -> bool,
                "a text",
            ),
            ("concurrency", Value::is_u64, "a whole number"),
            ("proxyAdminPort", is_port, "a port"),
            ("statusPort", is_port, "a port"),
        ] {
            if let Some(value) = config.0.get(key)
                && !value.is_null()
                && !is_right(value)
            {
                env.mistake(format!(
                    "{key} of PROXY_CONFIG is {value}, expected {expected}"
                ));
            }
        }
        config
    }

    pub(super) fn discovery_address(&self) -> Option<&str> {
        self.0.get("discoveryAddress")?.as_str()
    }

    pub(super) fn concurrency(&self) -> Option<usize> {
        usize::try_from(self.0.get("concurrency")?.as_u64()?).ok()
    }

    pub(super) fn admin_port(&self) -> Option<u16> {
        port(self.0.get("proxyAdminPort")?)
    }

    pub(super) fn status_port(&self) -> Option<u16> {
        port(self.0.get("statusPort")?)
    }

    /// A variable of `proxyMetadata`.
    pub(super) fn metadata(&self, name: &str) -> Option<&str> {
        self.0.get("proxyMetadata")?.get(name)?.as_str()
    }

    pub(super) fn service_cluster(&self) -> Option<&str> {
        self.0.get("serviceCluster")?.as_str()
    }

    /// `terminationDrainDuration`.
    pub(super) fn drain(&self, env: &mut Environment) -> Duration {
        let Some(value) = self.0.get("terminationDrainDuration") else {
            return DRAIN;
        };
        let duration = value.as_str().and_then(parse_duration);
        duration.unwrap_or_else(|| {
            env.mistake(format!(
                "terminationDrainDuration of PROXY_CONFIG is {value}, expected a duration such as \"5s\""
            ));
            DRAIN
        })
    }
}

fn port(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?)
        .ok()
        .filter(|port| *port != 0)
}

fn is_port(value: &Value) -> bool {
    port(value).is_some()
}

/// A duration in Go's form: numbers with the units h, m, s, ms.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        let amount = number.parse::<f64>().ok()? * seconds;
        total = total.checked_add(Duration::try_from_secs_f64(amount).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("250ms", 250),
            ("0.5s", 500),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1d",
            "é",
            "1é",
            "999999999999999999999999h",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
