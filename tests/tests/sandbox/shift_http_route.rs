//! `shift` where an HTTPRoute decides: the weights of its backends are written, acknowledged, measured, and taken back.

use std::time::Duration;

use mesh_tests::eventually;
use serde_json::json;

use crate::chance::check;
use crate::sandbox::{Sandbox, succeeded};
use crate::shift::{PAGE, actions, document, fails, red, shift, status, without_stars};

#[test]
fn backends_of_an_http_route_are_shifted_and_taken_back() {
    let sandbox = Sandbox::up("shift-http-route", &["--sample", "bookinfo"]);
    let probe = format!("{}{PAGE}", sandbox.ingress);
    sandbox.apply("samples/bookinfo/platform/kube/bookinfo-versions.yaml");
    sandbox.apply("samples/bookinfo/gateway-api/route-reviews-v1.yaml");
    eventually("the route leads to v1", Duration::from_secs(60), || {
        let to_v1 = sandbox.count(20, PAGE, &[], without_stars);
        to_v1.eq(&20).then_some(())
    });

    let half = document(&sandbox, &["v3=50", "--probe", &probe, "--requests", "200"]);
    assert_eq!(actions(&half), ["replace HTTPRoute"], "{half:#}");
    assert_eq!(half["rules"][0]["section"], "rules");
    assert_eq!(half["rules"][0]["before"], json!({"v1": 100}));
    assert_eq!(half["rules"][0]["after"], json!({"v1": 50, "v3": 50}));
    // Six sidecars and at least one gateway.
    assert!(half["acknowledged"].as_u64() >= Some(7), "{half:#}");
    let measurement = &half["measurement"];
    assert_eq!(measurement["requests"], 200, "{measurement:#}");
    let v3 = &measurement["subsets"][1];
    assert_eq!(v3["subset"], "v3");
    let counted = u32::try_from(v3["requests"].as_u64().expect("a count")).expect("a few");
    check(
        "requests that the proxies counted for v3",
        counted,
        200,
        0.5,
    );
    let seen = sandbox.count(200, PAGE, &[], red);
    check("pages with red stars", seen, 200, 0.5);

    let words = ["v3", "--steps", "75,100", "--interval", "1s"];
    document(&sandbox, &words);
    assert_eq!(sandbox.count(30, PAGE, &[], red), 30);
    let all = status(&sandbox);
    assert_eq!(all["rules"][0]["shares"], json!({"v1": 0, "v3": 100}));
    assert_eq!(all["undo"], 2, "{all:#}");

    fails(
        &shift(&sandbox, &["v4=5"]),
        &["no Service of namespace default selects version v4"],
    );
    succeeded(&shift(&sandbox, &["--undo=2"]));
    assert_eq!(sandbox.count(30, PAGE, &[], without_stars), 30);
    let back = status(&sandbox);
    assert_eq!(back["rules"][0]["shares"], json!({"v1": 100}));
    assert_eq!(back["undo"], 0, "{back:#}");
}
