//! Programs that speak no HTTP, keep their data elsewhere, or are clients; and httpbin.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::programs::{body, config, get, get_json, get_with, post, start, start_with};
use crate::client::Client;
use crate::run_until;

/// The answers to these bytes, until the program has nothing more to say.
async fn conversation(address: SocketAddr, said: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(said).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn lines_come_back_with_a_word_before_them() {
    let words = ["9000", "hello"].map(str::to_owned);
    let echo = start_with("tcp-echo", config(&[]).with_args(words));
    let said = conversation(echo.address, b"world\nagain").await;
    assert_eq!(said, "hello world\nhello again");
    let long = vec![b'x'; 70 << 10];
    assert_eq!(
        conversation(echo.address, &long[..(64 << 10) - 1])
            .await
            .len(),
        (64 << 10) + 5
    );
    let mut stream = TcpStream::connect(echo.address).await.unwrap();
    // The program may close before all of it is written.
    let _ = stream.write_all(&long).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "a line without end is not kept");
    echo.stop.send(()).unwrap();
    echo.done.await.unwrap().unwrap();
}

#[tokio::test]
async fn ratings_are_kept_in_the_store_that_the_environment_names() {
    let store = start("mongodb", &[]);
    let url = format!("mongodb://{}/test", store.address);
    let vars = [("MONGO_DB_URL", url), ("SERVICE_VERSION", "v2".to_owned())];
    let (one, other) = (start("ratings", &vars), start("ratings", &vars));
    let first = get_json(&one, "/ratings/7").await;
    assert_eq!(first["ratings"]["Reviewer1"], 5);
    let posted = post(one.address, "/ratings/7", r#"{"Reviewer1":2}"#).await;
    assert!(posted.starts_with("HTTP/1.1 200"), "{posted}");
    assert_eq!(
        get_json(&other, "/ratings/7").await["ratings"]["Reviewer1"],
        2
    );
    let greeting = conversation(store.address, b"isMaster\n").await;
    assert!(
        greeting.contains("data store of the sample ratings"),
        "{greeting}"
    );

    store.stop.send(()).unwrap();
    store.done.await.unwrap().unwrap();
    let (status, body) = get(&one, "/ratings/7").await;
    assert_eq!(status, 500, "{body}");
    assert!(
        body.contains("could not connect to ratings database"),
        "{body}"
    );
}

#[tokio::test]
async fn httpbin_answers_at_its_paths_only() {
    let httpbin = start("httpbin", &[]);
    let got = get_json(&httpbin, "/get?a=1").await;
    assert_eq!(
        (&got["args"]["a"], &got["origin"]),
        (&"1".into(), &"127.0.0.1".into())
    );
    let headers = get_with(&httpbin, "/headers", &[("x-test", "b")]).await;
    assert!(body(&headers).contains("\"X-Test\":\"b\""));
    for (path, status) in [
        ("/status/503", 503),
        ("/status/418", 418),
        ("/post", 405),
        ("/foo", 404),
    ] {
        assert_eq!(get(&httpbin, path).await.0, status, "{path}");
    }
    let posted = post(httpbin.address, "/post", r#"{"key":[1]}"#).await;
    assert!(posted.contains("\"json\":{\"key\":[1]}"), "{posted}");
}

#[tokio::test]
async fn a_load_client_counts_answers() {
    let httpbin = start("httpbin", &[]);
    let url = format!("http://{}/status/200,503", httpbin.address);
    let words = ["load", "-c", "3", "-qps", "0", "-n", "40", &url].map(str::to_owned);
    let load = crate::load::Load::parse(&words[1..]).unwrap();
    let counts = load.send(&Client::new(&config(&[]))).await;
    assert_eq!(counts, BTreeMap::from([(200, 20), (503, 20)]));
    httpbin.stop.send(()).unwrap();
    httpbin.done.await.unwrap().unwrap();
    run_until(
        "fortio",
        config(&[]).with_args(words),
        std::future::pending(),
    )
    .await
    .unwrap();
}
