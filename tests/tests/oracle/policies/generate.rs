//! Policies and requests that have something to do with each other, from a seed.

use super::Attempt;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody in plain text.
    Nobody,
    /// The service account `client`.
    Client,
    /// The service account `admin`.
    Admin,
}

/// Draws by a seed, so that every run is about the same policies (SplitMix64).
pub struct Generator {
    state: u64,
    tokens: Vec<String>,
}

const PRINCIPALS: [&str; 6] = [
    "cluster.local/ns/default/sa/client",
    "cluster.local/ns/default/sa/admin",
    "cluster.local/ns/other/sa/client",
    "cluster.local/ns/default/*",
    "*/sa/admin",
    "*",
];
const NAMESPACES: [&str; 4] = ["default", "other", "def*", "*ault"];
const ACCOUNTS: [&str; 3] = ["default/client", "admin", "other/client"];
const ADDRESSES: [&str; 4] = ["127.0.3.0/24", "127.0.3.1", "10.0.0.0/8", "0.0.0.0/0"];
const REMOTE: [&str; 3] = ["9.9.9.0/24", "127.0.3.1", "10.0.0.0/8"];
const SUBJECTS: [&str; 4] = [
    "https://issuer.example/alice",
    "https://issuer.example/*",
    "*/bob",
    "*",
];
const METHODS: [&str; 5] = ["GET", "POST", "DELETE", "P*", "*"];
const PATHS: [&str; 9] = [
    "/admin", "/admin/*", "/public*", "*.html", "/", "*", "/a/{*}/c", "/a/{**}", "/Admin",
];
const HOSTS: [&str; 6] = [
    "server",
    "server.default.svc.cluster.local",
    "*.example.com",
    "server*",
    "SERVER",
    "*",
];
const TEAMS: [&str; 4] = ["red", "blue*", "*een", "*"];
const GROUPS: [&str; 3] = ["dev", "ops", "no*"];

// === impl Generator ===

impl Generator {
    pub fn new(seed: u64, tokens: Vec<String>) -> Self {
        Self {
            state: seed,
            tokens,
        }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % below as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.draw(from.len())]
    }

    /// One or two values, quoted.
    fn values(&mut self, from: &[&str]) -> String {
        let count = 1 + self.draw(2);
        let values: Vec<String> = (0..count)
            .map(|_| format!("'{}'", self.pick(from)))
            .collect();
        format!("[{}]", values.join(", "))
    }

    /// Up to two fields of several, each positive or negative.
    fn fields(&mut self, fields: &[(&str, &str, &[&str])]) -> Vec<String> {
        let count = 1 + self.draw(2);
        let mut found: Vec<String> = Vec::new();
        for _ in 0..count {
            let (name, not, from) = fields[self.draw(fields.len())];
            let name = if self.draw(4) == 0 { not } else { name };
            if !found
                .iter()
                .any(|known| known.starts_with(&format!("{name}:")))
            {
                let values = self.values(from);
                found.push(format!("{name}: {values}"));
            }
        }
        found
    }

    fn source(&mut self) -> String {
        let fields = self.fields(&[
            ("principals", "notPrincipals", &PRINCIPALS),
            ("namespaces", "notNamespaces", &NAMESPACES),
            ("ipBlocks", "notIpBlocks", &ADDRESSES),
            ("remoteIpBlocks", "notRemoteIpBlocks", &REMOTE),
            ("requestPrincipals", "notRequestPrincipals", &SUBJECTS),
        ]);
        format!("{{source: {{{}}}}}", fields.join(", "))
    }

    /// What a rule is about, which is at least a port.
    fn operation(&mut self, port: u16) -> String {
        let mut fields = vec![format!("ports: ['{port}']")];
        if self.draw(3) > 0 {
            fields.extend(self.fields(&[
                ("methods", "notMethods", &METHODS),
                ("paths", "notPaths", &PATHS),
                ("hosts", "notHosts", &HOSTS),
            ]));
        }
        format!("{{operation: {{{}}}}}", fields.join(", "))
    }

    fn condition(&mut self) -> String {
        let (key, from): (&str, &[&str]) = match self.draw(6) {
            0 => ("request.headers[x-team]", &TEAMS),
            1 => ("source.ip", &ADDRESSES),
            2 => ("request.auth.claims[groups]", &GROUPS),
            3 => ("source.principal", &PRINCIPALS),
            4 => ("source.serviceAccount", &ACCOUNTS),
            _ => ("request.auth.claims[role][name]", &["lead", "le*"]),
        };
        let name = if self.draw(4) == 0 {
            "notValues"
        } else {
            "values"
        };
        format!("{{key: '{key}', {name}: {}}}", self.values(from))
    }

    fn rule(&mut self, port: u16) -> String {
        let mut parts = Vec::new();
        if self.draw(3) > 0 {
            let sources: Vec<String> = (0..1 + self.draw(2)).map(|_| self.source()).collect();
            parts.push(format!("from: [{}]", sources.join(", ")));
        }
        let operations: Vec<String> = (0..1 + self.draw(2))
            .map(|_| self.operation(port))
            .collect();
        parts.push(format!("to: [{}]", operations.join(", ")));
        if self.draw(3) == 0 {
            parts.push(format!("when: [{}]", self.condition()));
        }
        format!("{{{}}}", parts.join(", "))
    }

    /// The policies of a port: what is denied, and what is allowed of the rest.
    pub fn policies(&mut self, port: u16) -> String {
        let mut text = String::new();
        let mut add = |name: &str, action: &str, rules: Vec<String>| {
            text.push_str(&format!(
                "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}-{port}, namespace: default}}\n\
                 spec: {{selector: {{matchLabels: {{app: server}}}}, action: {action}, rules: [{}]}}\n---\n",
                rules.join(", ")
            ));
        };
        let denies = self.draw(3) > 0;
        let allows = self.draw(4) > 0;
        if denies {
            let rules = (0..1 + self.draw(2)).map(|_| self.rule(port)).collect();
            add("deny", "DENY", rules);
        }
        let rules = if allows {
            (0..1 + self.draw(3)).map(|_| self.rule(port)).collect()
        } else {
            // Other ports have policies that allow, so that this one needs one, too.
            vec![format!("{{to: [{{operation: {{ports: ['{port}']}}}}]}}")]
        };
        add("allow", "ALLOW", rules);
        text
    }

    /// Requests for a port.
    pub fn attempts(&mut self, port: u16, count: usize) -> Vec<Attempt> {
        (0..count).map(|_| self.attempt(port)).collect()
    }

    fn attempt(&mut self, port: u16) -> Attempt {
        let method = self.pick(&["GET", "GET", "POST", "DELETE", "HEAD", "PUT"]);
        let path = self.pick(&[
            "/",
            "/admin",
            "/admin/users?x=/public",
            "/public/index.html",
            "/public/../admin",
            "//admin",
            "/x/..%2fadmin",
            "/%61dmin",
            "/ADMIN",
            "/a/b/c",
            "/a/b/c/d",
            "/other",
        ]);
        let host = match self.draw(6) {
            0 => format!("server:{port}"),
            1 => "SERVER".to_owned(),
            2 => "server.default.svc.cluster.local".to_owned(),
            3 => "www.example.com".to_owned(),
            4 => "server.".to_owned(),
            _ => "server".to_owned(),
        };
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}");
        if method == "POST" || method == "PUT" {
            head.push_str("\r\ncontent-length: 0");
        }
        let fields = [
            "x-team: red",
            "x-team: blue-2",
            "x-team: green",
            "x-forwarded-for: 9.9.9.9",
            "x-forwarded-for: 9.9.9.9, 10.1.1.1",
            "cookie: a=b",
        ];
        if self.draw(2) == 0 {
            head.push_str("\r\n");
            head.push_str(self.pick(&fields));
        }
        let token = self.draw(self.tokens.len() * 2);
        if let Some(token) = self.tokens.get(token) {
            head.push_str(&format!("\r\nauthorization: Bearer {token}"));
        }
        let who = [Who::Nobody, Who::Client, Who::Client, Who::Admin][self.draw(4)];
        Attempt { port, who, head }
    }
}
