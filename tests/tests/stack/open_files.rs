//! The limit of open files: clients cannot take what those that are there need to be served.

use crate::http::Connection;
use crate::mesh::Mesh;
use crate::yaml::PodSpec;

fn echo(open_files: (u32, u32)) -> [PodSpec; 1] {
    let echo = PodSpec::serving("echo", "echo", "v1", "echo", 8080);
    [PodSpec {
        open_files: Some(open_files),
        ..echo
    }]
}

#[test]
fn a_crowd_of_clients_does_not_keep_those_that_are_there_from_being_served() {
    let mut mesh = Mesh::start(&echo((64, 64)), "");
    let echo = mesh.pod("echo");
    let mut crowd: Vec<_> = (0..100).map(|_| Connection::open(echo.at(8080))).collect();
    let answers = crowd.iter_mut().flatten().map(|one| one.get("/", &[]));
    let codes: Vec<_> = answers
        .map(|answer| answer.map(|answer| answer.status))
        .collect();
    // Served, or closed at once: none is let in and then left alone.
    let served = codes.iter().flatten().count();
    assert!(codes.iter().flatten().all(|code| *code == 200), "{codes:?}");
    assert_eq!(served, 16, "{codes:?}");
    assert_eq!(
        echo.stat("listener.downstream_global_cx_overflow"),
        100 - 16
    );
    assert!(echo.proxy.stderr().contains("the limit of open files"));
}

#[test]
fn a_proxy_raises_its_limit() {
    let mut mesh = Mesh::start(&echo((64, 4096)), "");
    let echo = mesh.pod("echo");
    let crowd = (0..100).map(|_| Connection::open(echo.at(8080)).unwrap());
    let mut crowd: Vec<_> = crowd.collect();
    for one in &mut crowd {
        assert_eq!(one.get("/", &[]).unwrap().status, 200);
    }
}
