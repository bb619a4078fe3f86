//! Commands against a mesh that runs: a sandbox of this suite's own with the bookinfo sample.

use serde_json::Value;

use crate::place::{Place, Ran, repository};

/// A sandbox that ends with the test.
struct Sandbox {
    place: Place,
}

impl Sandbox {
    fn up() -> Self {
        let sandbox = Self {
            place: Place::new(),
        };
        sandbox
            .place
            .run(&["sandbox", "up", "--detach", "--sample", "bookinfo"])
            .ends(0);
        sandbox
    }

    fn run(&self, line: &str) -> Ran {
        self.place.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// The lines of a table, without its titles, as words.
    #[track_caller]
    fn table(&self, line: &str) -> Vec<Vec<String>> {
        let ran = self.run(line);
        let lines = ran.ends(0).stdout.lines().skip(1);
        lines
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.run("sandbox down");
    }
}

#[test]
fn a_cluster_without_a_mesh_is_told_as_such() {
    let sandbox = Sandbox {
        place: Place::new(),
    };
    sandbox.run("sandbox up --detach --empty").ends(0);
    sandbox
        .run("version")
        .ends(0)
        .prints("client version")
        .says("there is no control plane");
    sandbox
        .run("proxy-status")
        .ends(1)
        .prints_nothing()
        .says("meshctl install");
    sandbox.run("analyze").ends(0).prints("IST0102");
    let ran = sandbox.run("pc clusters deployment/web");
    ran.ends(1)
        .prints_nothing()
        .says("there is no Deployment web in namespace default");
    let (file, text) = (
        "x.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x, image: x}]}\n",
    );
    sandbox.place.file(file, text);
    sandbox
        .run("kube-inject -f x.yaml")
        .ends(0)
        .prints("istio-proxy")
        .says("built-in settings");
}

/// One sandbox for all, because it takes seconds to start.
#[test]
fn commands_look_into_a_running_mesh() {
    let sandbox = Sandbox::up();
    versions(&sandbox);
    proxy_status(&sandbox);
    proxy_config(&sandbox);
    analyze(&sandbox);
    kube_inject(&sandbox);
}

fn versions(sandbox: &Sandbox) {
    let version = env!("CARGO_PKG_VERSION");
    let ran = sandbox.run("version");
    ran.ends(0)
        .prints(&format!(
            "client version: {version}\ncontrol plane version: {version}\n"
        ))
        .prints(&format!("data plane version: {version} (8 proxies)\n"))
        .says("cluster: sandbox \"default\" (https://127.");
    let json: Value = serde_json::from_str(&sandbox.run("version -o json").ends(0).stdout).unwrap();
    assert_eq!(json["meshVersion"][0]["Info"]["version"], version);
    assert_eq!(json["dataPlaneVersion"].as_array().unwrap().len(), 8);
}

fn proxy_status(sandbox: &Sandbox) {
    sandbox
        .run("proxy-status")
        .ends(0)
        .prints("NAME")
        .prints("CLUSTER")
        .prints("VERSION");
    let lines = sandbox.table("ps");
    let names: Vec<&str> = lines.iter().map(|line| line[0].as_str()).collect();
    for workload in [
        "details-v1",
        "productpage-v1",
        "ratings-v1",
        "reviews-v1",
        "reviews-v2",
        "reviews-v3",
    ] {
        assert!(
            names
                .iter()
                .any(|name| name.starts_with(workload) && name.ends_with(".default")),
            "{workload}: {names:?}"
        );
    }
    assert!(
        lines
            .iter()
            .all(|line| line.iter().filter(|word| *word == "SYNCED").count() >= 3),
        "{lines:?}"
    );
    assert_eq!(sandbox.table("ps -n istio-system").len(), 2);
    assert!(sandbox.table("ps -n nowhere").is_empty());
    sandbox
        .run("ps deployment/reviews-v1")
        .ends(0)
        .prints("ACKNOWLEDGED")
        .prints("CDS");
    sandbox.run("ps deployment/missing").ends(1).says("missing");
    sandbox
        .run("ps reviews-v1")
        .ends(1)
        .says("did you mean reviews-v1-");
}

fn proxy_config(sandbox: &Sandbox) {
    let clusters =
        sandbox.table("proxy-config clusters deployment/productpage-v1 --fqdn reviews --subset v3");
    assert!(
        clusters.is_empty() || clusters[0][1] == "9080",
        "{clusters:?}"
    );
    let all = sandbox.table("pc c svc/productpage.default --port 9080 --direction outbound");
    assert!(
        all.iter()
            .any(|line| line[0] == "reviews.default.svc.cluster.local"),
        "{all:?}"
    );
    let endpoints = sandbox.table("pc ep deployment/productpage-v1 --port 9080 --status healthy --cluster outbound|9080||reviews.default.svc.cluster.local");
    assert_eq!(endpoints.len(), 3, "one for each version: {endpoints:?}");
    sandbox
        .run("pc routes deployment/productpage-v1 --name 9080")
        .ends(0)
        .prints("reviews, reviews.default");
    sandbox
        .run("pc listeners deployment/istio-ingressgateway.istio-system")
        .ends(0)
        .prints("Route: http.");
    let ran = sandbox.run("pc all deployment/productpage-v1 -o json");
    sandbox.place.file("dump.json", &ran.ends(0).stdout);
    let (live, saved) = (
        sandbox.run("pc routes deployment/productpage-v1"),
        sandbox.run("pc routes -f dump.json"),
    );
    assert_eq!(
        live.ends(0).stdout,
        saved.ends(0).stdout,
        "a saved dump says the same"
    );
    sandbox
        .run("pc routes deployment/istiod.istio-system")
        .ends(1)
        .says("15000")
        .says("proxy-status");
}

fn analyze(sandbox: &Sandbox) {
    sandbox
        .run("analyze -A --suppress IST0140=*")
        .ends(0)
        .says("No validation issues found when analyzing all namespaces");
    let rules = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: details-extra
spec:
  hosts: [details]
  http:
  - route:
    - destination:
        host: HOST
";
    // The services are in the cluster, the rules in the file.
    sandbox
        .place
        .file("right.yaml", &rules.replace("HOST", "details"))
        .file("wrong.yaml", &rules.replace("HOST", "detals"));
    sandbox.run("analyze right.yaml").ends(0).prints_nothing();
    sandbox
        .run("analyze wrong.yaml")
        .ends(79)
        .prints("wrong.yaml:10:15")
        .prints("did you mean \"details\"?");
    sandbox
        .run("analyze --use-kube=false right.yaml")
        .ends(79)
        .prints("details");
}

fn kube_inject(sandbox: &Sandbox) {
    let file = repository("samples/bookinfo/platform/kube/bookinfo.yaml");
    let ran = sandbox.place.run(&["kube-inject", "-f", &file]);
    ran.ends(0)
        .prints("name: istio-proxy")
        .says("cluster: sandbox");
    assert!(
        !ran.stderr.contains("built-in"),
        "the settings are the cluster's: {}",
        ran.stderr
    );
}
