//! Mutual TLS of a default installation, and under the policies of a tutorial.

use std::collections::BTreeMap;

use mesh_tests::eventually;

use crate::http;
use crate::sandbox::{SETTLED, Sandbox};

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: istio-system
spec:
  mtls:
    mode: STRICT
";

/// Plain text for the ratings, and for the details on their port.
const DISABLED: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: details
  namespace: default
spec:
  selector:
    matchLabels:
      app: details
  portLevelMtls:
    9080:
      mode: DISABLE
";

/// The requests that arrived at the pods of bookinfo, by the security of their connections, and whether each of those in mutual TLS has
/// both principals.
fn arrived(sandbox: &Sandbox) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for address in addresses(sandbox, "") {
        let page = http::get(&format!("http://{address}:15000/stats/prometheus"), &[]);
        let page = page.expect("the admin interface answers").body;
        let lines = page.lines().filter(|line| {
            line.starts_with("istio_requests_total{") && line.contains("reporter=\"destination\"")
        });
        for line in lines {
            let label = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}=\""))?;
                rest.split('"').next().map(str::to_owned)
            };
            let policy = label("connection_security_policy").expect("a policy");
            if policy == "mutual_tls" {
                for side in ["source_principal", "destination_principal"] {
                    let principal = label(side).expect("a principal");
                    assert!(
                        principal.starts_with("spiffe://cluster.local/ns/"),
                        "{line}"
                    );
                }
            }
            let count: u64 = line
                .rsplit(' ')
                .next()
                .and_then(|text| text.parse().ok())
                .expect("a number");
            *found.entry(policy).or_default() += count;
        }
    }
    found
}

/// The addresses of bookinfo's pods whose name begins so.
fn addresses(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let status = sandbox.status();
    let pods = status["pods"].as_array().expect("pods").iter();
    let of_app = pods.filter(|pod| {
        pod["namespace"] == "default"
            && pod["name"]
                .as_str()
                .is_some_and(|known| known.starts_with(name))
    });
    of_app
        .map(|pod| pod["address"].as_str().expect("an address").to_owned())
        .collect()
}

/// Not one request between pods, or from the gateway, was in plain text.
pub fn from_the_first_request(sandbox: &Sandbox) {
    let arrived = arrived(sandbox);
    assert!(arrived["mutual_tls"] > 0, "{arrived:?}");
    assert_eq!(arrived.get("none"), None, "{arrived:?}");
}

/// A client without a proxy is refused, and those with one see no difference.
pub fn strict(sandbox: &Sandbox, page: &str) {
    let addresses = addresses(sandbox, "details");
    let details = format!(
        "http://{}:9080/details/0",
        addresses.first().expect("a pod")
    );
    assert_eq!(
        http::get(&details, &[])
            .expect("plain text is served")
            .status,
        200
    );
    sandbox.apply_text(STRICT);
    eventually("plain text is closed", SETTLED, || {
        http::get(&details, &[]).is_err().then_some(())
    });
    assert_eq!(sandbox.count(20, page, &[], |_| true), 20);
    let findings = sandbox.run(&["analyze", "--all-namespaces"]);
    assert!(!findings.contains("PeerAuthentication"), "{findings}");
    sandbox.apply_text(DISABLED);
    eventually("plain text is served on this port", SETTLED, || {
        http::get(&details, &[])
            .ok()
            .filter(|answer| answer.status == 200)
    });
    sandbox.settle("the product page shows details", page, &[], |page| {
        page.contains("Book Details")
    });
}
