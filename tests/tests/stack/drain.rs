//! How a proxy ends.

use mesh_tests::eventually;

use crate::http::Connection;
use crate::mesh::{LIMIT, Mesh, Pod};
use crate::yaml::PodSpec;

/// A client, and an echo that can take its time.
pub const ECHO: [PodSpec; 2] = [
    PodSpec::CLIENT,
    PodSpec::serving("echo", "echo", "v1", "echo", 8080),
];

/// Waits until answers are the last ones on their connections. They are answers all the same.
#[track_caller]
fn drains(pod: &Pod, port: u16) {
    eventually("answers are the last ones", LIMIT, || {
        let answer = Connection::open(pod.at(port))
            .unwrap()
            .get("/", &[])
            .unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.header("connection") == Some("close")).then_some(())
    });
    assert_eq!(pod.admin("/ready").status, 503);
}

#[test]
fn a_request_in_flight_ends_before_the_proxy_does() {
    let mut mesh = Mesh::start(&ECHO, "");
    let mut connection = mesh.pod("client").outbound();
    connection
        .send_get("http://echo:8080/delay/2", &[])
        .unwrap();
    let echo = mesh.pod("echo");
    eventually("the request has arrived", LIMIT, || {
        (echo.stat("http.downstream_rq_active") == 1).then_some(())
    });
    echo.proxy.signal("TERM");
    // Others do not know yet, and are served.
    drains(echo, 8080);
    let inbound = echo.at(8080);
    let answer = connection.receive().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let status = mesh.pod("echo").proxy.ended();
    assert!(status.success(), "{status}");
    assert!(Connection::open(inbound).is_err());
}

/// Who is asked last needs others to answer: a sidecar that drains still carries what its program sends.
#[test]
fn a_request_in_flight_may_still_call_others() {
    let hello = "hello -target world:7778 -latency 1s";
    let mut mesh = Mesh::start(
        &[
            PodSpec::CLIENT,
            PodSpec::serving("hello", "hello", "v1", hello, 7777),
            PodSpec::serving("world", "world", "v1", "world-v1", 7778),
        ],
        "",
    );
    let mut connection = mesh.pod("client").outbound();
    connection.send_get("http://hello:7777/", &[]).unwrap();
    let hello = mesh.pod("hello");
    eventually("the request has arrived", LIMIT, || {
        (hello.stat("http.downstream_rq_active") == 1).then_some(())
    });
    hello.proxy.signal("TERM");
    let answer = connection.receive().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.to_lowercase().contains("world"), "{answer:?}");
    assert!(mesh.pod("hello").proxy.ended().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut mesh = Mesh::start(&ECHO, "");
    let mut connection = mesh.pod("client").outbound();
    connection
        .send_get("http://echo:8080/delay/60", &[])
        .unwrap();
    let echo = mesh.pod("echo");
    eventually("the request has arrived", LIMIT, || {
        (echo.stat("http.downstream_rq_active") == 1).then_some(())
    });
    echo.proxy.signal("TERM");
    eventually("it drains", LIMIT, || {
        echo.proxy
            .stderr()
            .contains("ending, when nobody comes")
            .then_some(())
    });
    echo.proxy.signal("INT");
    assert!(echo.proxy.ended().success());
    // The client's proxy sees the connection break, and says so.
    assert_eq!(connection.receive().unwrap().status, 503);
}

#[test]
fn the_admin_interface_drains_and_ends() {
    let mut mesh = Mesh::start(&ECHO[..1], "");
    let client = mesh.pod("client");
    assert_eq!(client.admin("/drain").status, 405);
    assert_eq!(client.admin_post("/drain").status, 200);
    eventually("it is not ready any more", LIMIT, || {
        (client.admin("/ready").status == 503).then_some(())
    });
    assert_eq!(client.admin_post("/quitquitquit").status, 200);
    assert!(client.proxy.ended().success());
}
