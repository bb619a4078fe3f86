//! Requests that two implementations could understand differently are refused and never forwarded.

use crate::drain::ECHO;
use crate::http::Connection;
use crate::mesh::Mesh;

/// Requests that must be refused with a 4xx and the end of the connection. `HOST` stands for a right `Host` line.
const MALFORMED: [(&str, &str); 18] = [
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHOSTHOST\r\n"),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHOSTcontent-length: 1\r\ncontent-length: 2\r\n\r\na",
    ),
    (
        "the same length twice",
        "POST / HTTP/1.1\r\nHOSTcontent-length: 1\r\ncontent-length: 1\r\n\r\na",
    ),
    (
        "a list of lengths",
        "POST / HTTP/1.1\r\nHOSTcontent-length: 1, 1\r\n\r\na",
    ),
    (
        "a signed length",
        "POST / HTTP/1.1\r\nHOSTcontent-length: +1\r\n\r\na",
    ),
    (
        "a huge length",
        "POST / HTTP/1.1\r\nHOSTcontent-length: 99999999999999999999999\r\n\r\na",
    ),
    (
        "length and chunks",
        "POST / HTTP/1.1\r\nHOSTcontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "an unknown coding",
        "POST / HTTP/1.1\r\nHOSTtransfer-encoding: gzip\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHOSTtransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a misspelt coding",
        "POST / HTTP/1.1\r\nHOSTtransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    ("a bare line feed", "GET / HTTP/1.1\nHOST\r\n"),
    (
        "a bare carriage return",
        "GET / HTTP/1.1\r\nHOSTx: a\rb\r\n\r\n",
    ),
    ("a folded line", "GET / HTTP/1.1\r\nHOSTx: a\r\n b\r\n\r\n"),
    (
        "a blank before the colon",
        "GET / HTTP/1.1\r\nHOSTx : a\r\n\r\n",
    ),
    ("a zero byte", "GET / HTTP/1.1\r\nHOSTx: a\0b\r\n\r\n"),
    ("an unknown version", "GET / HTTP/1.2\r\nHOST\r\n"),
    ("a blank in the path", "GET /a b HTTP/1.1\r\nHOST\r\n"),
];

#[test]
fn malformed_requests_are_refused_and_not_forwarded() {
    let mut mesh = Mesh::start(&ECHO, "");
    let app_log = mesh.pod("echo").stat("http.downstream_rq_total");
    assert_eq!(app_log, 0);
    for (what, request) in MALFORMED {
        for (door, address) in [
            ("inbound", mesh.pod("echo").at(8080)),
            ("outbound", mesh.pod("client").at(15001)),
        ] {
            let request = if door == "outbound" {
                request.replace(" / ", " http://echo:8080/ ")
            } else {
                request.to_owned()
            };
            let request = request.replace("HOST", "host: echo:8080\r\n");
            let mut connection = Connection::open(address).unwrap();
            connection.send(request.as_bytes()).unwrap();
            let answer = connection
                .receive()
                .unwrap_or_else(|error| panic!("{what} at {door}: {error}"));
            assert!(
                (400..500).contains(&answer.status),
                "{what} at {door}: {answer:?}"
            );
            assert!(
                connection.is_closed(),
                "{what} at {door} keeps the connection"
            );
        }
    }
    let upstream = "cluster.inbound|8080||.upstream_rq_total: ";
    let stats = mesh.pod("echo").admin("/stats").body;
    let forwarded = stats.lines().find_map(|line| line.strip_prefix(upstream));
    assert!(matches!(forwarded, None | Some("0")), "{stats}");
}

/// Chunks that are malformed are noticed while the body streams: the connection ends, and nothing after them is taken for a request.
#[test]
fn malformed_chunks_end_the_connection() {
    let mut mesh = Mesh::start(&ECHO, "");
    for chunks in [
        "x\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\na\r\n",
    ] {
        let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
        let head = "POST / HTTP/1.1\r\nhost: echo:8080\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.send([head, chunks].concat().as_bytes()).unwrap();
        match connection.receive() {
            Ok(answer) => {
                assert!(
                    (400..500).contains(&answer.status),
                    "{chunks:?}: {answer:?}"
                );
                assert!(connection.is_closed(), "{chunks:?} keeps the connection");
            }
            Err(error) => assert!(connection.is_closed(), "{chunks:?}: {error}"),
        }
    }
}
