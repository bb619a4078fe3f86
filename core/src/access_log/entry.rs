//! A line of an access log in Istio's default format, as text or as JSON.

use serde::Serialize;
use serde_json::{Map, Value};

/// What a line tells. What it does not tell, or tells as `-`, is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When the request began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Method; none for connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path with query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Protocol of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Status; none for connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Short names of what went wrong.
    pub flags: Vec<String>,
    /// Who answered, and why so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Why the connection was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination: Option<String>,
    /// Why the connection to the endpoint failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_failure: Option<String>,
    /// Bytes of the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The host that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_host: Option<String>,
    /// The cluster that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_cluster: Option<String>,
    /// Where the client wanted to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downstream_local: Option<String>,
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downstream_remote: Option<String>,
    /// The route that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// Places in the text format.
mod place {
    pub(super) const LINE: usize = 1;
    pub(super) const CODE: usize = 2;
    pub(super) const FLAGS: usize = 3;
    pub(super) const DETAILS: usize = 4;
    pub(super) const TERMINATION: usize = 5;
    pub(super) const TRANSPORT: usize = 6;
    pub(super) const RECEIVED: usize = 7;
    pub(super) const SENT: usize = 8;
    pub(super) const DURATION: usize = 9;
    pub(super) const ID: usize = 13;
    pub(super) const AUTHORITY: usize = 14;
    pub(super) const HOST: usize = 15;
    pub(super) const CLUSTER: usize = 16;
    pub(super) const LOCAL: usize = 18;
    pub(super) const REMOTE: usize = 19;
    pub(super) const ROUTE: usize = 21;
    /// Fields of a whole line.
    pub(super) const ALL: usize = 22;
}

// === impl Entry ===

impl Entry {
    /// Reads a line; none if it is of neither format.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('{') {
            let Value::Object(fields) = serde_json::from_str(line).ok()? else {
                return None;
            };
            return Self::from_json(&fields);
        }
        Self::from_text(line)
    }

    /// Whether it is of a connection rather than of a request.
    pub fn is_connection(&self) -> bool {
        self.method.is_none()
    }

    /// The entry without what may be secret: the query of the path.
    pub fn redacted(mut self) -> Self {
        if let Some(path) = &mut self.path
            && let Some(at) = path.find(['?', '#'])
        {
            path.truncate(at);
            path.push_str("?...");
        }
        self
    }

    fn from_text(line: &str) -> Option<Self> {
        let line = line.strip_prefix('[')?;
        let (time, rest) = line.split_once(']')?;
        let mut fields = vec![time.to_owned()];
        fields.extend(words(rest));
        if fields.len() < place::ALL {
            return None;
        }
        let field = |at: usize| fields.get(at).cloned().filter(|text| told(text));
        let number = |at: usize| field(at).and_then(|text| text.parse().ok());
        // The path may have blanks, the method and the protocol have none.
        let line = fields.get(place::LINE)?;
        let (method, rest) = line.split_once(' ')?;
        let (path, protocol) = rest.rsplit_once(' ')?;
        let text = |text: &str| Some(text.to_owned()).filter(|text| told(text));
        Some(Self {
            time: text(time),
            method: text(method),
            path: text(path),
            protocol: text(protocol),
            code: field(place::CODE)
                .and_then(|text| text.parse().ok())
                .filter(|code| *code != 0),
            flags: flags(field(place::FLAGS)),
            details: field(place::DETAILS),
            termination: field(place::TERMINATION),
            transport_failure: field(place::TRANSPORT),
            received: number(place::RECEIVED),
            sent: number(place::SENT),
            duration: number(place::DURATION),
            request_id: field(place::ID),
            authority: field(place::AUTHORITY),
            upstream_host: field(place::HOST),
            upstream_cluster: field(place::CLUSTER),
            downstream_local: field(place::LOCAL),
            downstream_remote: field(place::REMOTE),
            route: field(place::ROUTE),
        })
    }

    fn from_json(fields: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| match fields.get(name)? {
            Value::String(text) => Some(text.clone()).filter(|text| told(text)),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let number = |name: &str| text(name).and_then(|text| text.parse().ok());
        let entry = Self {
            time: text("start_time"),
            method: text("method"),
            path: text("path"),
            protocol: text("protocol"),
            code: text("response_code")
                .and_then(|text| text.parse().ok())
                .filter(|code| *code != 0),
            flags: flags(text("response_flags")),
            details: text("response_code_details"),
            termination: text("connection_termination_details"),
            transport_failure: text("upstream_transport_failure_reason"),
            received: number("bytes_received"),
            sent: number("bytes_sent"),
            duration: number("duration"),
            request_id: text("request_id"),
            authority: text("authority"),
            upstream_host: text("upstream_host"),
            upstream_cluster: text("upstream_cluster"),
            downstream_local: text("downstream_local_address"),
            downstream_remote: text("downstream_remote_address"),
            route: text("route_name"),
        };
        let known = fields.contains_key("response_code") || fields.contains_key("response_flags");
        known.then_some(entry)
    }
}

fn told(text: &str) -> bool {
    !text.is_empty() && text != "-"
}

fn flags(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    let names = text.split(',').map(str::trim);
    names.filter(|name| told(name)).map(str::to_owned).collect()
}

/// Words with quoted ones taken whole.
fn words(mut rest: &str) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return words;
        }
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"[2026-11-28T12:00:00.000Z] "GET /reviews/0?token=x HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{connection_failure} - "delayed_connect_error:_111" 0 152 27 - "-" "curl/8" "8d9b4c5e" "reviews:9080" "10.0.0.7:9080" outbound|9080|v3|reviews.default.svc.cluster.local - 10.96.0.4:9080 10.0.0.3:50000 - default"#;

    #[test]
    fn lines_of_text_are_read() {
        let entry = Entry::parse(LINE).unwrap();
        assert_eq!(entry.method.as_deref(), Some("GET"));
        assert_eq!(entry.code, Some(503));
        assert_eq!(entry.flags, ["UF", "URX"]);
        assert_eq!(entry.duration, Some(27));
        assert_eq!(
            entry.transport_failure.as_deref(),
            Some("delayed_connect_error:_111")
        );
        assert_eq!(entry.authority.as_deref(), Some("reviews:9080"));
        assert_eq!(
            entry.upstream_cluster.as_deref(),
            Some("outbound|9080|v3|reviews.default.svc.cluster.local")
        );
        assert_eq!(entry.downstream_remote.as_deref(), Some("10.0.0.3:50000"));
        assert_eq!(entry.route.as_deref(), Some("default"));
        assert_eq!(entry.redacted().path.as_deref(), Some("/reviews/0?..."));
        let connection =
            Entry::parse(&LINE.replace("GET /reviews/0?token=x HTTP/1.1\" 503", "- - -\" 0"));
        assert!(connection.unwrap().is_connection());
        for text in [
            "",
            "x",
            "[x]",
            "[t] \"GET / HTTP/1.1\" 200",
            "{}",
            "{\"a\":",
        ] {
            assert_eq!(Entry::parse(text), None, "{text}");
        }
    }

    #[test]
    fn lines_of_json_are_read() {
        let line = r#"{"method":"GET","path":"/","response_code":404,"response_flags":"NR","duration":3,"authority":"x","route_name":null}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!((entry.code, entry.duration), (Some(404), Some(3)));
        assert_eq!(entry.flags, ["NR"]);
    }
}
