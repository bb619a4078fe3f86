//! The sample programs over real sockets, as their clients see them.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Answer, Client, Target};
use crate::{Config, run_until};

const LIMIT: Duration = Duration::from_secs(20);

/// A program that serves until it is stopped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) done: JoinHandle<anyhow::Result<()>>,
}

pub(super) fn config(vars: &[(&str, String)]) -> Config {
    let owned = |(key, value): &(&str, String)| ((*key).to_owned(), value.clone());
    Config::from_vars(vars.iter().map(owned).collect::<BTreeMap<_, _>>()).unwrap()
}

pub(super) fn start(name: &'static str, vars: &[(&str, String)]) -> Running {
    start_with(name, config(vars))
}

pub(super) fn start_with(name: &'static str, config: Config) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { drop(stopped.await) };
    let config = config.with_listener(listener);
    let done = tokio::spawn(run_until(name, config, shutdown));
    Running {
        address,
        stop,
        done,
    }
}

fn target(address: SocketAddr) -> Target {
    Target {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

/// The variables that point `service` at a running program.
fn at(service: &'static str, running: &Running) -> [(&'static str, String); 2] {
    let (host, port) = match service {
        "details" => ("DETAILS_HOSTNAME", "DETAILS_SERVICE_PORT"),
        "reviews" => ("REVIEWS_HOSTNAME", "REVIEWS_SERVICE_PORT"),
        _ => ("RATINGS_HOSTNAME", "RATINGS_SERVICE_PORT"),
    };
    [
        (host, running.address.ip().to_string()),
        (port, running.address.port().to_string()),
    ]
}

pub(super) async fn get_with(
    running: &Running,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let client = Client::new(&config(&[]));
    let answer = client.get(&target(running.address), path, map, LIMIT).await;
    answer.unwrap()
}

pub(super) async fn get(running: &Running, path: &str) -> (u16, String) {
    let answer = get_with(running, path, &[]).await;
    (answer.status.as_u16(), body(&answer))
}

pub(super) fn body(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

pub(super) async fn get_json(running: &Running, path: &str) -> Value {
    let (status, body) = get(running, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Sends `request` as it is and reads until the server closes.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) async fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let length = body.len();
    raw(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ),
    )
    .await
}

/// Accepts one request, returns its head, and answers it with `answer`.
async fn one_request(listener: tokio::net::TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let length = answer.len();
    let head_and_body = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}");
    stream.write_all(head_and_body.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

fn stars(page: &str, color: &str) -> usize {
    let needle = format!("<font color=\"{color}\">");
    page.lines().filter(|line| line.contains(&needle)).count()
}

#[tokio::test]
async fn every_program_answers_its_health_path_and_stops() {
    // An authorizer answers whatever the path for what it is asked about, and some speak no HTTP.
    let others = ["ext-authz", "tcp-echo", "mongodb", "mysqldb", "sleep"];
    let names = crate::names().iter();
    for name in names.filter(|name| !others.contains(name)) {
        let running = start(name, &[]);
        let (status, body) = get(&running, "/health").await;
        assert_eq!(status, 200, "{name}: {body}");
        assert!(body.contains("healthy"), "{name}: {body}");
        running.stop.send(()).unwrap();
        running.done.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn bookinfo_shows_the_stars_of_the_version_that_answers() {
    let details = start("details", &[]);
    let ratings = start("ratings", &[]);
    for (name, version, black, red) in [
        ("reviews-v1", "v1", 0, 0),
        ("reviews-v2", "v2", 2, 0),
        ("reviews-v3", "v3", 0, 2),
    ] {
        let pod = [("POD_NAME", format!("{name}-pod"))];
        let reviews = start(name, &[&at("ratings", &ratings)[..], &pod].concat());
        let vars = [at("details", &details), at("reviews", &reviews)].concat();
        let productpage = start("productpage", &vars);
        let (status, page) = get(&productpage, "/productpage").await;
        assert_eq!(status, 200);
        assert!(page.contains("<title>Simple Bookstore App</title>"));
        assert!(page.contains("William Shakespeare"));
        assert!(page.contains(&format!("served by: {name}-pod, version {version}")));
        assert_eq!((stars(&page, "black"), stars(&page, "red")), (black, red));
    }
}

#[tokio::test]
async fn the_api_has_the_public_fields() {
    let details = start("details", &[]);
    let ratings = start("ratings", &[]);
    let reviews = start("reviews-v3", &at("ratings", &ratings));
    let vars = [
        at("details", &details),
        at("reviews", &reviews),
        at("ratings", &ratings),
    ];
    let page = start("productpage", &vars.concat());
    let products = get_json(&page, "/api/v1/products").await;
    assert_eq!(products[0]["title"], "The Comedy of Errors");
    let book = get_json(&page, "/api/v1/products/0").await;
    assert_eq!(book["ISBN-10"], "1234567890");
    let told = get_json(&page, "/api/v1/products/0/reviews").await;
    assert_eq!(
        (&told["id"], &told["clustername"]),
        (&"0".into(), &"null".into())
    );
    assert_eq!(told["reviews"][0]["rating"]["stars"], 5);
    assert_eq!(told["reviews"][1]["rating"]["color"], "red");
    let rated = get_json(&page, "/api/v1/products/0/ratings").await;
    assert_eq!(rated["ratings"]["Reviewer2"], 4);
    for path in [
        "/api/v1/products/x",
        "/api/v1/products/0/prices",
        "/nothing",
    ] {
        let (status, _) = get(&page, path).await;
        assert!(matches!(status, 400 | 404), "{path}");
    }
}

#[tokio::test]
async fn headers_travel_from_the_page_through_reviews_to_ratings() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = tokio::spawn(one_request(listener, r#"{"ratings":{"Reviewer1":1}}"#));
    let ratings = [
        ("RATINGS_HOSTNAME", address.ip().to_string()),
        ("RATINGS_SERVICE_PORT", address.port().to_string()),
    ];
    let reviews = start("reviews-v2", &ratings);
    let details = start("details", &[]);
    let vars = [at("details", &details), at("reviews", &reviews)].concat();
    let page = start("productpage", &vars);
    let sent = [
        ("x-request-id", "r1"),
        ("x-b3-traceid", "t1"),
        ("traceparent", "00-1-2-01"),
        ("l5d-ctx-trace", "c1"),
        ("cookie", "user=jason"),
        ("x-private", "stays"),
    ];
    let answer = get_with(&page, "/productpage", &sent).await;
    assert!(body(&answer).contains("1 of 5"));
    let head = seen.await.unwrap();
    for line in [
        "GET /ratings/0 HTTP/1.1",
        "x-request-id: r1",
        "x-b3-traceid: t1",
        "traceparent: 00-1-2-01",
        "l5d-ctx-trace: c1",
        "cookie: user=jason",
        "end-user: jason",
    ] {
        assert!(head.lines().any(|have| have == line), "{line} in {head}");
    }
    assert!(!head.contains("x-private"));
}

#[tokio::test]
async fn a_proxy_gets_the_request_in_absolute_form() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let seen = tokio::spawn(one_request(listener, "earth\n"));
    let hello = start("hello", &[("http_proxy", proxy)]);
    let dtab = "/host/world => /srv/world-v2";
    let answer = get_with(&hello, "/", &[("l5d-dtab", dtab)]).await;
    assert_eq!(body(&answer), "Hello earth");
    let head = seen.await.unwrap();
    assert!(head.starts_with("GET http://world/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: world\r\n"), "{head}");
    assert!(head.contains(&format!("l5d-dtab: {dtab}\r\n")), "{head}");
}

#[tokio::test]
async fn names_come_from_the_hosts_file() {
    let world = start("world-v1", &[("POD_IP", "10.0.0.2".to_owned())]);
    let path = std::env::temp_dir().join(format!("mesh-samples-hosts-{}", std::process::id()));
    std::fs::write(&path, "127.0.0.1 world.of.test\n").unwrap();
    let vars = [
        ("MESH_HOSTS", path.display().to_string()),
        ("POD_IP", "10.0.0.1".to_owned()),
        ("MESH_POD_ADDRESS", "127.0.0.1".to_owned()),
    ];
    let port = world.address.port();
    let flags = [
        "-text=Hello".to_owned(),
        format!("-target=world.of.test:{port}"),
    ];
    let hello = start_with("hello", config(&vars).with_args(flags));
    let answer = get(&hello, "/").await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        answer,
        (200, "Hello (10.0.0.1) world (10.0.0.2)!!".to_owned())
    );
}

#[tokio::test]
async fn what_is_missing_becomes_an_apology_and_never_a_failure() {
    let nobody = [
        ("DETAILS_HOSTNAME", "127.0.0.1".to_owned()),
        ("DETAILS_SERVICE_PORT", "1".to_owned()),
        ("REVIEWS_HOSTNAME", "127.0.0.1".to_owned()),
        ("REVIEWS_SERVICE_PORT", "1".to_owned()),
        ("RATINGS_HOSTNAME", "127.0.0.1".to_owned()),
        ("RATINGS_SERVICE_PORT", "1".to_owned()),
    ];
    let page = start("productpage", &nobody);
    let (status, html) = get(&page, "/productpage").await;
    assert_eq!(status, 200);
    assert!(html.contains("product details are currently unavailable"));
    assert!(html.contains("product reviews are currently unavailable"));
    assert_eq!(get(&page, "/api/v1/products/0").await.0, 500);
    let reviews = start("reviews-v3", &nobody);
    let told = get_json(&reviews, "/reviews/0").await;
    let sorry = "Ratings service is currently unavailable";
    assert_eq!(told["reviews"][0]["rating"]["error"], sorry);
}

#[tokio::test]
async fn an_error_status_of_reviews_is_asked_again_once_and_passed_on() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(refusal).await.unwrap();
        }
    });
    let vars = [
        ("REVIEWS_HOSTNAME", address.ip().to_string()),
        ("REVIEWS_SERVICE_PORT", address.port().to_string()),
    ];
    let page = start("productpage", &vars);
    let (status, body) = get(&page, "/api/v1/products/0/reviews").await;
    assert_eq!(status, 503);
    assert!(body.contains("Sorry, product reviews"), "{body}");
    asked.await.unwrap();
}

#[tokio::test]
async fn signing_in_sets_the_cookie_and_out_clears_it() {
    let page = start("productpage", &[]);
    let answer = post(page.address, "/login", "username=jason&passwd=").await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(
        answer.contains("set-cookie: user=jason; Path=/"),
        "{answer}"
    );
    assert!(answer.contains("location: /productpage"), "{answer}");
    let answer = post(page.address, "/login", "username=").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let out = get_with(&page, "/logout", &[]).await;
    assert_eq!(out.status.as_u16(), 302);
    let cookie = out.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("user=;") && cookie.contains("Max-Age=0"));
}

#[tokio::test]
async fn posted_ratings_are_kept_and_bad_ones_refused() {
    let ratings = start("ratings", &[]);
    let answer = post(ratings.address, "/ratings/7", r#"{"Reviewer1":2}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let kept = get_json(&ratings, "/ratings/7").await;
    assert_eq!(kept["ratings"], serde_json::json!({ "Reviewer1": 2 }));
    for wrong in ["", "[]", r#"{"Reviewer1":6}"#, r#"{"Reviewer1":"5"}"#, "{"] {
        let answer = post(ratings.address, "/ratings/7", wrong).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{wrong}: {answer}");
    }
    assert_eq!(get(&ratings, "/ratings/x").await.0, 400);
    let large = "x".repeat((1 << 20) + 1);
    let answer = post(ratings.address, "/ratings/7", &large).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn echo_reports_what_it_received() {
    let echo = start("echo", &[("SERVICE_VERSION", "v7".to_owned())]);
    let answer = post(echo.address, "/anything/x?a=1&b=%20", "four").await;
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    let told: Value = serde_json::from_str(json).unwrap();
    assert_eq!(told["method"], "POST");
    assert_eq!(told["path"], "/anything/x");
    assert_eq!(told["args"], serde_json::json!({ "a": "1", "b": " " }));
    assert_eq!(
        (&told["bodyBytes"], &told["data"]),
        (&4.into(), &"four".into())
    );
    assert_eq!(told["headers"]["Content-Length"], "4");
    assert_eq!(told["local"], echo.address.to_string());
    assert_eq!(
        (&told["origin"], &told["version"]),
        (&"127.0.0.1".into(), &"v7".into())
    );
    assert_eq!(get(&echo, "/status/418").await, (418, String::new()));
    assert_eq!(get(&echo, "/status/1000").await.0, 400);
    assert_eq!(get(&echo, "/bytes/70000").await.1.len(), 70_000);
}

#[tokio::test]
async fn versions_of_website_and_helloworld_differ() {
    for (name, path, text) in [
        ("website-v1", "/", "Website version 1"),
        ("website-v2", "/", "Website version 2"),
        ("website-v3", "/", "Website version 3"),
        (
            "helloworld-v1",
            "/hello",
            "Hello version: v1, instance: p-1\n",
        ),
        (
            "helloworld-v2",
            "/hello",
            "Hello version: v2, instance: p-1\n",
        ),
        ("world-v1", "/", "world"),
        ("world-v2", "/", "earth"),
    ] {
        let running = start(name, &[("POD_NAME", "p-1".to_owned())]);
        let (status, body) = get(&running, path).await;
        assert_eq!(status, 200, "{name}");
        assert!(body.contains(text), "{name}: {body}");
    }
}

#[tokio::test]
async fn a_request_under_way_ends_well_while_idle_connections_are_closed() {
    let echo = start("echo", &[]);
    let mut idle = TcpStream::connect(echo.address).await.unwrap();
    let mut busy = TcpStream::connect(echo.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    busy.write_all(head.as_bytes()).await.unwrap();
    // The interim answer proves that the request is being served.
    let mut interim = [0; 25];
    busy.read_exact(&mut interim).await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    echo.stop.send(()).unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    busy.write_all(b"four").await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    echo.done.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let fails = async |name: &str, config: Config| {
        let error = run_until(name, config, std::future::pending()).await;
        format!("{:#}", error.unwrap_err())
    };
    let error = fails("reviews-v9", config(&[])).await;
    assert!(
        error.contains("reviews-v9") && error.contains("reviews-v3"),
        "{error}"
    );
    let error = fails("hello", config(&[]).with_args(["-grpc=1".to_owned()])).await;
    assert!(error.contains("-grpc"), "{error}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let vars = [
        ("PORT", taken.local_addr().unwrap().port().to_string()),
        ("MESH_BIND_ADDRESS", "127.0.0.1".to_owned()),
    ];
    let error = fails("echo", config(&vars)).await;
    assert!(error.contains("failed to listen on 127.0.0.1"), "{error}");
}
