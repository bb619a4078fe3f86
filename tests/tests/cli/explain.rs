//! `explain request` on files. How requests are decided has tests of its own; here it is about what is told.

use serde_json::Value;

use crate::place::{Place, repository};

/// Bookinfo, of which reviews v2 is for jason and v1 for all others.
fn bookinfo() -> Vec<String> {
    let files = [
        "platform/kube/bookinfo.yaml",
        "networking/destination-rule-all.yaml",
        "networking/bookinfo-gateway.yaml",
        "networking/virtual-service-reviews-test-v2.yaml",
    ];
    let path = |file| repository(&format!("samples/bookinfo/{file}"));
    let flags = files
        .into_iter()
        .flat_map(|file| ["-f".to_owned(), path(file)]);
    flags.collect()
}

fn explain(words: &[&str]) -> Vec<String> {
    let words = ["explain", "request"].iter().chain(words);
    words
        .map(|word| (*word).to_owned())
        .chain(bookinfo())
        .collect()
}

#[track_caller]
fn shown(words: &[&str]) -> String {
    let place = Place::new();
    let words = explain(words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place.run(&words).ends(0).stdout.clone()
}

#[test]
fn every_route_that_is_tried_is_told_with_the_place_of_its_rule() {
    let text = shown(&[
        "GET",
        "reviews:9080/reviews/0",
        "--from",
        "deployment/productpage-v1",
    ]);
    let text = text.replace(&repository(""), "");
    let rule = "VirtualService default/reviews, samples/bookinfo/networking/virtual-service-reviews-test-v2.yaml:2";
    let expect = [
        "GET http://reviews:9080/reviews/0",
        "",
        "sidecar of productpage-v1.default",
        "  listener              0.0.0.0_9080",
        "  filter chain          9080",
        "  route table           9080",
        "  virtual host          · reviews.default.svc.cluster.local:9080: serves the authority \"reviews:9080\"",
        &format!(
            "  route                 ✗ #0: header end-user is absent, expected exactly \"jason\"  {rule}"
        ),
        &format!("  route                 ✓ #1  {rule}"),
        "  timeout               none",
        "  retries               2",
        "  goes to               outbound|9080|v1|reviews.default.svc.cluster.local; the files tell no endpoints",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expect);
}

#[test]
fn headers_count() {
    let text = shown(&["GET", "http://reviews:9080/", "-H", "end-user: jason"]);
    assert!(
        text.contains("goes to               outbound|9080|v2|reviews"),
        "{text}"
    );
}

#[test]
fn a_gateway_is_asked_by_its_name() {
    let text = shown(&[
        "GET",
        "http://shop.example/admin",
        "--from",
        "gateway/bookinfo-gateway",
    ]);
    assert!(
        text.contains("is answered           404 no route takes it"),
        "{text}"
    );
}

#[test]
fn programs_get_everything() {
    let text = shown(&["GET", "http://reviews:9080/", "-o", "json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let proxy = &found["proxies"][0];
    assert_eq!(proxy["routeTable"], "9080");
    assert_eq!(proxy["outcome"]["result"], "forward");
    let target = &proxy["outcome"]["targets"][0];
    assert_eq!(
        target["cluster"],
        "outbound|9080|v1|reviews.default.svc.cluster.local"
    );
    assert_eq!(target["percent"], 100);
    let steps = proxy["steps"].as_array().unwrap();
    let tried = steps.iter().find(|step| step["outcome"] == "notMatched");
    let place = tried.unwrap()["place"].as_str().unwrap();
    assert!(
        place.ends_with("virtual-service-reviews-test-v2.yaml:2"),
        "{place}"
    );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let place = Place::new();
    let refused = |words: &[&str], why: &str| {
        let words = explain(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        place.run(&words).ends(64).says(why);
    };
    refused(
        &["GET", "ftp://reviews/"],
        "its scheme is neither http nor https",
    );
    refused(&["GET", "http:///x"], "is no URL of a request");
    refused(&["G T", "reviews/"], "is no method");
    refused(&["GET", "reviews/", "-H", "x"], "is no header");
    refused(
        &["GET", "reviews/", "--from", "deployment/reviews"],
        "there is no deployment \"reviews\" in namespace default",
    );
    refused(
        &["GET", "reviews/", "--from", "service/reviews"],
        "is no kind of workload",
    );
}
