//! The mesh that the control plane reads: services with endpoints, and two VirtualServices to change.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A generated directory of YAML.
#[derive(Debug)]
pub struct Configuration {
    /// Where it lies.
    pub directory: PathBuf,
    /// How many services there are; all are called by HTTP on port 80.
    pub services: usize,
    /// How many endpoints each has.
    pub endpoints: usize,
    /// How many namespaces they are spread over.
    pub namespaces: usize,
    /// Whether one of them is seen by its own namespace only.
    pub has_private_service: bool,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The weights of a VirtualService that all namespaces see.
    PublicRule,
    /// The weights of a VirtualService that only its own namespace sees.
    PrivateRule,
    /// An endpoint of one service.
    Endpoint,
}

/// The service whose rule is public, and the one whose rule is private.
const PUBLIC: usize = 0;
const PRIVATE: usize = 1;
/// The service that loses an endpoint.
const SHRINKING: usize = 2;
/// The service that may be private.
const HIDDEN: usize = 3;

// === impl Change ===

impl Change {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PublicRule, Self::PrivateRule, Self::Endpoint];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::PublicRule => "a rule for all",
            Self::PrivateRule => "a private rule",
            Self::Endpoint => "an endpoint less",
        }
    }

    /// The namespace that it concerns; none for all.
    pub fn reach(self, configuration: &Configuration) -> Option<usize> {
        match self {
            Self::PublicRule | Self::Endpoint => None,
            Self::PrivateRule => Some(PRIVATE % configuration.namespaces),
        }
    }
}

// === impl Configuration ===

impl Configuration {
    /// Writes everything.
    pub fn write(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.directory)?;
        for namespace in 0..self.namespaces {
            let mut text =
                format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: ns-{namespace}}}\n");
            for service in
                (0..self.services).filter(|service| service % self.namespaces == namespace)
            {
                self.service(service, &mut text);
            }
            self.put(&format!("ns-{namespace}.yaml"), &text)?;
        }
        self.endpoints(SHRINKING, self.endpoints)?;
        self.rule(PUBLIC, "*", 10)?;
        self.rule(PRIVATE, ".", 10)?;
        // Files that are younger are read again with the first change, whatever it is.
        std::thread::sleep(std::time::Duration::from_secs(3));
        Ok(())
    }

    /// Changes one thing.
    pub fn make(&self, change: Change) -> anyhow::Result<()> {
        match change {
            Change::PublicRule => self.rule(PUBLIC, "*", 50),
            Change::PrivateRule => self.rule(PRIVATE, ".", 50),
            Change::Endpoint => self.endpoints(SHRINKING, self.endpoints - 1),
        }
    }

    fn service(&self, service: usize, text: &mut String) {
        let namespace = service % self.namespaces;
        let (high, low) = (service / 250, service % 250 + 1);
        let annotations = if self.has_private_service && service == HIDDEN {
            ", annotations: {networking.istio.io/exportTo: .}"
        } else {
            ""
        };
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Service
metadata: {{name: svc-{service}, namespace: ns-{namespace}{annotations}}}
spec:
  clusterIP: 10.96.{high}.{low}
  selector: {{app: svc-{service}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
"
        );
        if service != SHRINKING {
            let _ = write!(text, "---\n{}", self.slice(service, self.endpoints));
        }
    }

    fn slice(&self, service: usize, endpoints: usize) -> String {
        let mut text = self.slice_head(service, 8080);
        for endpoint in 0..endpoints {
            let number = service * self.endpoints + endpoint;
            let (a, b, c) = (number / 62500, number / 250 % 250, number % 250 + 1);
            let _ = writeln!(
                text,
                "- {{addresses: [10.{}.{b}.{c}], conditions: {{ready: true}}}}",
                10 + a
            );
        }
        text
    }

    fn slice_head(&self, service: usize, port: u16) -> String {
        let namespace = service % self.namespaces;
        format!(
            "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: svc-{service}-a
  namespace: ns-{namespace}
  labels: {{kubernetes.io/service-name: svc-{service}}}
addressType: IPv4
ports:
- {{name: http, port: {port}, protocol: TCP}}
endpoints:
"
        )
    }

    fn endpoints(&self, service: usize, endpoints: usize) -> anyhow::Result<()> {
        self.put("endpoints.yaml", &self.slice(service, endpoints))
    }

    fn rule(&self, service: usize, export_to: &str, weight: usize) -> anyhow::Result<()> {
        let namespace = service % self.namespaces;
        let other = service + self.namespaces;
        let text = format!(
            "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:
  hosts: [svc-{service}]
  exportTo: ['{export_to}']
  http:
  - route:
    - {{destination: {{host: svc-{service}}}, weight: {}}}
    - {{destination: {{host: svc-{other}}}, weight: {weight}}}
",
            100 - weight
        );
        self.put(&format!("rule-{service}.yaml"), &text)
    }

    /// Has the service with the public rule answer a number by itself.
    pub fn answer(&self, number: usize) -> anyhow::Result<()> {
        let namespace = PUBLIC % self.namespaces;
        let text = format!(
            "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: svc-{PUBLIC}, namespace: ns-{namespace}}}
spec:
  hosts: [svc-{PUBLIC}]
  http:
  - directResponse: {{status: 200, body: {{string: '{number}'}}}}
"
        );
        self.put(&format!("rule-{PUBLIC}.yaml"), &text)
    }

    /// Gives a service one endpoint.
    pub fn serve_at(&self, backend: SocketAddr) -> anyhow::Result<()> {
        let text = format!(
            "{}- {{addresses: [{}], conditions: {{ready: true}}}}\n",
            self.slice_head(SHRINKING, backend.port()),
            backend.ip()
        );
        self.put("endpoints.yaml", &text)
    }

    /// Where [`Self::answer`] shows.
    pub fn ruled_url(&self) -> String {
        format!("http://svc-{PUBLIC}.ns-{}/", PUBLIC % self.namespaces)
    }

    /// Where [`Self::serve_at`] shows.
    pub fn moved_url(&self) -> String {
        format!("http://svc-{SHRINKING}.ns-{}/", SHRINKING % self.namespaces)
    }

    /// Writes a file whole: the control plane never sees half of one.
    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let temporary = self.directory.join(format!("{name}.partial"));
        std::fs::write(&temporary, text)?;
        Ok(std::fs::rename(&temporary, self.directory.join(name))?)
    }
}
