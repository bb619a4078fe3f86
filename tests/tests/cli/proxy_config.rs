//! `proxy-config` on what a real Envoy said (`fixtures/envoy/record` records it).

use serde_json::Value;

use crate::place::{Place, Ran, fixture};

fn show(arguments: &[&str]) -> Ran {
    let dump = fixture("envoy/config_dump.json");
    Place::new().run(&[&["proxy-config"], arguments, &["-f", &dump]].concat())
}

/// Asserts a whole table, with the blanks between columns taken together.
#[track_caller]
fn expect(ran: &Ran, table: &str) {
    let squeeze = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(squeeze(&ran.ends(0).stdout), squeeze(table));
}

#[test]
fn clusters() {
    expect(
        &show(&["clusters"]),
        "
        SERVICE FQDN                       PORT  SUBSET  DIRECTION  TYPE          DESTINATION RULE
                                           9080  -       inbound    STATIC
        BlackHoleCluster                   -     -       -          STATIC
        PassthroughCluster                 -     -       -          ORIGINAL_DST
        prometheus_stats                   -     -       -          STATIC
        reviews.default.svc.cluster.local  9080  -       outbound   EDS
        reviews.default.svc.cluster.local  9080  v1      outbound   EDS           reviews.default
        www.example.com                    443   -       outbound   STRICT_DNS",
    );
    let titles = "SERVICE FQDN PORT SUBSET DIRECTION TYPE DESTINATION RULE\n";
    expect(
        &show(&[
            "c",
            "--fqdn",
            "reviews",
            "--port",
            "9080",
            "--subset",
            "v1",
            "--direction",
            "outbound",
        ]),
        &format!("{titles}reviews.default.svc.cluster.local 9080 v1 outbound EDS reviews.default"),
    );
    expect(
        &show(&["cluster", "--direction", "INBOUND"]),
        &format!("{titles}9080 - inbound STATIC"),
    );
    expect(&show(&["cluster", "--port", "1"]), titles);
    let ran = show(&["clusters", "--subset", "v1", "-o", "json"]);
    let found: Vec<Value> = serde_json::from_str(&ran.ends(0).stdout).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0]["name"],
        "outbound|9080|v1|reviews.default.svc.cluster.local"
    );
    assert!(
        found[0]["eds_cluster_config"].is_object(),
        "JSON shows all that the proxy said"
    );
}

#[test]
fn listeners() {
    expect(
        &show(&["listeners"]),
        "
        ADDRESSES  PORT   MATCH                                                    DESTINATION
        127.0.0.1  29443  SNI: www.example.com,example.com; Addr: 10.0.0.9/32:443  Cluster: outbound|443||www.example.com
        127.0.0.1  29906  ALL                                                      Cluster: inbound|9080||
        127.0.0.1  29980  Trans: raw_buffer; App: HTTP                             Route: 9080
        127.0.0.1  29980  ALL                                                      PassthroughCluster
        127.0.0.1  29990  ALL                                                      Inline Route: /stats/prometheus*",
    );
    let ports = |arguments: &[&str]| {
        let ran = show(&[&["l"], arguments].concat());
        let lines = ran.ends(0).stdout.lines().skip(1);
        lines
            .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ports(&["--port", "29906"]), ["29906"]);
    assert_eq!(ports(&["--type", "tcp"]), ["29443"]);
    assert_eq!(ports(&["--type", "HTTP"]), ["29906", "29990"]);
    assert_eq!(ports(&["--type", "HTTP+TCP"]), ["29980", "29980"]);
    assert!(ports(&["--address", "127.0.0.2"]).is_empty());
}

#[test]
fn routes() {
    expect(
        &show(&["routes", "--name", "9080"]),
        "
        NAME  VHOST NAME                              DOMAINS                             MATCH            VIRTUAL SERVICE
        9080  reviews.default.svc.cluster.local:9080  reviews, reviews.default + 1 more...  /api*            reviews.default
        9080  reviews.default.svc.cluster.local:9080  reviews, reviews.default + 1 more...  /health
        9080  reviews.default.svc.cluster.local:9080  reviews, reviews.default + 1 more...  PathPrefix:/old
        9080  reviews.default.svc.cluster.local:9080  reviews, reviews.default + 1 more...  regex /x.*
        9080  none.example:9080                       none.example                          /*               404",
    );
    show(&["routes"])
        .ends(0)
        .prints("inbound|9080||")
        .prints("/stats/prometheus*");
    show(&["r", "--name", "9080", "-o", "yaml"])
        .ends(0)
        .prints("- \"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
}

#[test]
fn endpoints_from_both_places() {
    let live = fixture("envoy/clusters.json");
    let place = Place::new();
    let v1 = "outbound|9080|v1|reviews.default.svc.cluster.local";
    expect(
        &place.run(&["proxy-config", "endpoints", "-f", &live, "--cluster", v1]),
        &format!(
            "ENDPOINT STATUS OUTLIER CHECK CLUSTER
             10.1.0.5:9080 HEALTHY OK {v1}
             10.1.0.6:9080 UNHEALTHY OK {v1}"
        ),
    );
    expect(
        &show(&["ep", "--cluster", v1]),
        &format!(
            "NAME STATUS LOCALITY CLUSTER
             10.1.0.5:9080 HEALTHY north/one {v1}
             10.1.0.6:9080 UNHEALTHY north/one {v1}"
        ),
    );
    let lines = |arguments: &[&str]| {
        show(&[&["endpoint"], arguments].concat())
            .ends(0)
            .stdout
            .lines()
            .count()
            - 1
    };
    assert_eq!(lines(&["--status", "unhealthy"]), 1);
    assert_eq!(lines(&["--port", "9080"]), 3);
    assert_eq!(lines(&["--address", "fd00::7"]), 1);
    show(&["ep"])
        .prints("[fd00::7]:9080")
        .prints("unix:///run/app.sock");
}

#[test]
fn all_of_it() {
    let ran = show(&["all"]);
    ran.ends(0)
        .prints("SERVICE FQDN")
        .prints("ADDRESSES")
        .prints("VHOST NAME")
        .prints("LOCALITY");
    let json: Value = serde_json::from_str(&show(&["all", "-o", "json"]).ends(0).stdout).unwrap();
    assert!(json["configs"].as_array().unwrap().len() >= 4);
}

#[test]
fn missing_sections_are_named() {
    let place = Place::new();
    place.file("dump.json", r#"{"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "from": "the future"}]}"#);
    let ran = place.run(&["pc", "routes", "-f", "dump.json"]);
    ran.ends(65)
        .prints_nothing()
        .says("config dump has no configuration type envoy.admin.v3.RoutesConfigDump");
    place
        .run(&["pc", "endpoints", "-f", "dump.json"])
        .ends(65)
        .says("include_eds");
    expect(
        &place.run(&["pc", "clusters", "-f", "dump.json"]),
        "SERVICE FQDN PORT SUBSET DIRECTION TYPE DESTINATION RULE",
    );
    place.file("odd.json", r#"{"configs": [{"@type": "x/envoy.admin.v3.ClustersConfigDump", "static_clusters": [{"cluster": {"name": 1}}]}]}"#);
    place
        .run(&["pc", "clusters", "-f", "odd.json"])
        .ends(65)
        .says("shape");
}
