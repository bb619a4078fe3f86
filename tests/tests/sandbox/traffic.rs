//! What is shown of traffic equals what was sent: `edges`, `stat`, `graph`, `top` and `tap` on a page of bookinfo.

use std::process::Stdio;
use std::time::Duration;

use mesh_tests::eventually;
use serde_json::Value;

use crate::sandbox::Sandbox;

const PAGE: &str = "/productpage";
/// Pages that are asked for.
const SENT: u32 = 40;

#[track_caller]
fn json(sandbox: &Sandbox, words: &[&str]) -> Value {
    serde_json::from_str(&sandbox.run(&[words, &["-o", "json"]].concat())).expect("JSON")
}

#[test]
fn what_is_shown_equals_what_was_sent() {
    let sandbox = Sandbox::up("traffic", &["--sample", "bookinfo"]);
    let all = |row: &Value| row["requests"].as_u64().unwrap_or(0);
    let of = |rows: &Value, name: &str| -> Value {
        let rows = rows.as_array().expect("rows");
        let found = rows.iter().find(|row| row["name"] == name);
        found.cloned().unwrap_or(Value::Null)
    };
    let before = json(&sandbox, &["stat", "-A", "--window", "0"]);
    sandbox.count(SENT, PAGE, &[], |page| {
        page.contains("Simple Bookstore App")
    });
    let sent = u64::from(SENT);
    // Counters follow the answers by a moment.
    let stats = eventually("all pages are counted", Duration::from_secs(30), || {
        let stats = json(&sandbox, &["stat", "-A", "--window", "0"]);
        let pages = |stats: &Value| all(&of(stats, "productpage-v1"));
        (pages(&stats) == pages(&before) + sent).then_some(stats)
    });
    let more = |name: &str| all(&of(&stats, name)) - all(&of(&before, name));
    assert_eq!(more("details-v1"), sent);
    assert_eq!(
        more("reviews-v1") + more("reviews-v2") + more("reviews-v3"),
        sent
    );
    assert_eq!(more("ratings-v1"), more("reviews-v2") + more("reviews-v3"));
    let page = of(&stats, "productpage-v1");
    assert_eq!(page["failed"], 0, "{page:#}");
    assert_eq!(page["successRate"], 100.0);
    assert_eq!(page["mutualTLS"], 100.0);
    assert!(page["p99"].as_f64() >= page["p50"].as_f64(), "{page:#}");
    let services = json(&sandbox, &["stat", "service", "--window", "0"]);
    assert_eq!(
        all(&of(&services, "reviews")),
        all(&of(&stats, "details-v1"))
    );

    edges(&sandbox, &stats);
    graph(&sandbox, all(&of(&stats, "ratings-v1")));
    live(&sandbox);
}

fn edges(sandbox: &Sandbox, stats: &Value) {
    let edges = json(sandbox, &["edges", "-A", "--window", "0"]);
    let edges = edges.as_array().expect("rows");
    let between = |from: &str, to: &str| {
        edges.iter().find(|edge| {
            edge["source"]["workload"] == from && edge["destination"]["workload"] == to
        })
    };
    let details = between("productpage-v1", "details-v1").expect("an edge");
    let stat = stats.as_array().expect("rows");
    let stat = stat
        .iter()
        .find(|row| row["name"] == "details-v1")
        .expect("a row");
    assert_eq!(details["requests"], stat["requests"]);
    assert_eq!(details["mutualTLS"], true, "{details:#}");
    let client = &details["source"]["principal"];
    assert_eq!(
        client,
        "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
    );
    assert!(between("istio-ingressgateway", "productpage-v1").is_some());
    assert!(
        between("reviews-v1", "ratings-v1").is_none(),
        "v1 asks nobody"
    );
}

fn graph(sandbox: &Sandbox, ratings: u64) {
    let graph = json(sandbox, &["graph", "--window", "0", "--type", "app"]);
    let nodes = graph["nodes"].as_array().expect("nodes");
    let id = |name: &str| {
        let found = nodes.iter().find(|node| node["name"] == name);
        found.expect("a node")["id"].clone()
    };
    let edges = graph["edges"].as_array().expect("edges");
    let (from, to) = (id("reviews"), id("ratings"));
    let edge = edges
        .iter()
        .find(|edge| edge["source"] == from && edge["destination"] == to);
    assert_eq!(edge.expect("an edge")["requests"], ratings);
    let text = sandbox.run(&["graph", "--window", "0"]);
    assert!(
        text.contains("productpage.default v1\n") && text.contains("mTLS"),
        "{text}"
    );
    for (format, says) in [
        ("dot", "digraph mesh {"),
        ("mermaid", "flowchart LR"),
        ("svg", "<svg xmlns="),
    ] {
        let text = sandbox.run(&["graph", "--window", "0", "-o", format]);
        assert!(
            text.starts_with(says) && text.contains("productpage"),
            "{text}"
        );
    }
}

/// Tables and requests while pages are asked for.
fn live(sandbox: &Sandbox) {
    let follow = |words: &[&str]| {
        let mut command = sandbox.command(words);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("meshctl runs")
    };
    let tap = [
        "tap", "-A", "--path", PAGE, "--max", "4", "--for", "60s", "-o", "json",
    ];
    let tap = follow(&tap);
    let top = follow(&[
        "top",
        "-A",
        "--interval",
        "2s",
        "--count",
        "3",
        "-o",
        "json",
    ]);
    // Until both have seen enough.
    let (mut tap, mut top) = (tap, top);
    eventually("both have ended", Duration::from_secs(60), || {
        let _ = sandbox.page(&format!("{PAGE}?token=secret"), &[]);
        let ended = |child: &mut std::process::Child| child.try_wait().expect("a child").is_some();
        (ended(&mut tap) && ended(&mut top)).then_some(())
    });
    let lines = |child: std::process::Child| -> Vec<Value> {
        let output = child.wait_with_output().expect("output");
        let text = String::from_utf8(output.stdout).expect("text");
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("lines of JSON")
    };
    let requests = lines(tap);
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert_eq!(request["path"], "/productpage?...", "{request:#}");
        assert_eq!(request["code"], 200);
    }
    let tables = lines(top);
    assert_eq!(tables.len(), 3);
    let rows = tables
        .iter()
        .flat_map(|table| table["rows"].as_array().expect("rows"));
    let details = rows.filter(|row| row["destination"] == "details-v1.default");
    let rates: Vec<f64> = details.filter_map(|row| row["rps"].as_f64()).collect();
    assert!(rates.iter().any(|rate| *rate > 0.0), "{tables:#?}");
}
