//! The codec: what is refused, and that splitting the input changes nothing.

use mesh_ir::PathNormalization;
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<bool, Refusal> {
    RequestHead::default().parse(text.as_bytes(), HeadLimits::FIRST)
}

#[track_caller]
fn refused(text: &str, code: u16) {
    match parse(text) {
        Err(refusal) => assert_eq!(refusal.code, code, "{text:?}: {refusal}"),
        other => panic!("{text:?} gave {other:?}"),
    }
}

/// Everything by which one message could be taken for another.
#[test]
fn ambiguous_requests_are_refused() {
    for fields in [
        // Lengths.
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        // Length and chunks, in either order.
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        // Codings.
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding:\r\n",
        // Lines.
        "X: 1\n",
        "X: 1\rY: 2\r\n",
        "X: 1\r\n folded\r\n",
        "X: 1\r\n\tfolded\r\n",
        " X: 1\r\n",
        // Names and values.
        "X : 1\r\n",
        "Content-Length : 1\r\n",
        "X\r\n",
        ": 1\r\n",
        "X(: 1\r\n",
        "X\0: 1\r\n",
        "X: a\0b\r\n",
        "X: \x7f\r\n",
        "X: \x01\r\n",
        // Hosts.
        "Host: other\r\n",
        // Fields that make a message what it is must not be dropped on the way.
        "Connection: content-length\r\n",
        "Connection: close, transfer-encoding\r\n",
        "Connection: host\r\n",
    ] {
        refused(
            &format!("POST / HTTP/1.1\r\nHost: test\r\n{fields}\r\n"),
            400,
        );
    }
}

#[test]
fn malformed_request_lines_and_hosts_are_refused() {
    for (head, code) in [
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\nHost: a\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: gold\r\n\r\n", 417),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0", 400),
    ] {
        refused(head, code);
    }
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let many = "X: 1\r\n".repeat(HeadLimits::FIRST.fields);
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431);
    let long = "x".repeat(HeadLimits::FIRST.bytes);
    refused(
        &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
        431,
    );
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), 431);
}

#[test]
fn a_head_in_pieces_is_parsed_at_its_beginning_and_its_end() {
    let head = "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n";
    let (mut scan, mut response) = (HeadScan::default(), ResponseHead::default());
    let mut parsed = Vec::new();
    for end in 1..=head.len() {
        let parse = |bytes: &[u8]| {
            parsed.push(bytes.len());
            response.parse(bytes, HeadLimits::FIRST, false)
        };
        let whole = scan.parse(&head.as_bytes()[..end], HeadLimits::FIRST, parse);
        assert_eq!(whole, Ok(end == head.len()));
    }
    assert_eq!(parsed, [1, head.len()]);
    // One that never ends is not waited for, whatever size its pieces have.
    let long = "x".repeat(HeadLimits::FIRST.bytes + 1);
    let refused = scan.parse(long.as_bytes(), HeadLimits::FIRST, |_| unreachable!());
    assert_eq!(refused, Err(Refusal::TOO_LARGE));
}

#[test]
fn each_proxy_of_a_mesh_lets_through_what_the_one_before_has_made_of_it() {
    let parse = |fields: usize, hops: usize| {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: 1\r\n".repeat(fields - 1)
        );
        RequestHead::default()
            .parse(head.as_bytes(), HeadLimits::behind(hops))
            .is_ok()
    };
    let admitted: Vec<bool> = [(100, 0), (101, 0), (116, 1), (117, 1), (132, 2), (133, 2)]
        .map(|(fields, hops)| parse(fields, hops))
        .to_vec();
    assert_eq!(admitted, [true, false, true, false, true, false]);
}

#[test]
fn requests_of_all_forms_are_understood() {
    let check = |text: &str, form, parts: [&str; 4]| {
        let mut head = RequestHead::default();
        assert_eq!(
            head.parse(text.as_bytes(), HeadLimits::FIRST),
            Ok(true),
            "{text}"
        );
        let request = RequestRef {
            head: &head,
            bytes: text.as_bytes(),
        };
        let query = request.query().unwrap_or(b"-");
        let found = [
            request.authority(),
            request.path(),
            query,
            request.path_and_query(),
        ]
        .map(|part| std::str::from_utf8(part).unwrap());
        assert_eq!((head.form, found), (form, parts), "{text}");
    };
    check(
        "GET /a?b HTTP/1.1\r\nHost: h:1\r\n\r\n",
        Form::Origin,
        ["h:1", "/a", "b", "/a?b"],
    );
    check(
        "\r\nGET /a HTTP/1.1\r\nhost:h\r\n\r\n",
        Form::Origin,
        ["h", "/a", "-", "/a"],
    );
    check(
        "GET http://x:2/a? HTTP/1.1\r\nHost: h\r\n\r\n",
        Form::Absolute,
        ["x:2", "/a", "", "/a?"],
    );
    check(
        "GET HTTPS://x HTTP/1.1\r\nHost: h\r\n\r\n",
        Form::Absolute,
        ["x", "/", "-", "/"],
    );
    check(
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        Form::Asterisk,
        ["h", "*", "-", "*"],
    );
    check(
        "CONNECT x:1 HTTP/1.1\r\nHost: h\r\n\r\n",
        Form::Authority,
        ["x:1", "", "-", ""],
    );
}

#[test]
fn a_path_is_normalized_with_its_query_behind_it() {
    for (target, path, query) in [
        ("/a/../b?x=/../y", "/b", "/b?x=/../y"),
        ("/a/..", "/", "/"),
        ("http://h/./%61", "/a", "/a"),
    ] {
        let mut bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n").into_bytes();
        let mut head = RequestHead::default();
        assert_eq!(head.parse(&bytes, HeadLimits::FIRST), Ok(true));
        assert_eq!(
            head.normalize_path(&mut bytes, PathNormalization::Base),
            Ok(())
        );
        let request = RequestRef {
            head: &head,
            bytes: &bytes,
        };
        assert_eq!(request.path(), path.as_bytes());
        assert_eq!(request.path_and_query(), query.as_bytes());
        assert_eq!(request.fields().get("x"), Some(&b"y"[..]));
    }
}

#[test]
fn what_concerns_one_connection_is_not_sent_on() {
    let text = "POST /p HTTP/1.1\r\nHost: h\r\nA: 1\r\nConnection: x-own, close\r\nX-Own: 2\r\nTE: trailers\r\n\
        Keep-Alive: 3\r\nB: 4\r\nTransfer-Encoding: chunked\r\nC: 5\r\nProxy-Connection: 6\r\n\r\n";
    let mut head = RequestHead::default();
    assert_eq!(head.parse(text.as_bytes(), HeadLimits::FIRST), Ok(true));
    let request = RequestRef {
        head: &head,
        bytes: text.as_bytes(),
    };
    let line = RequestLine {
        path: b"/q",
        query: Some(b"r"),
        host: b"other",
    };
    let mut out = Vec::new();
    write_request(&mut out, request, line, &Unchanged);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "POST /q?r HTTP/1.1\r\nhost: other\r\nA: 1\r\nB: 4\r\nC: 5\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert!(!head.keep_alive);
}

#[test]
fn ambiguous_responses_are_refused() {
    let parse =
        |text: &str| ResponseHead::default().parse(text.as_bytes(), HeadLimits::FIRST, false);
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "X: 1\n",
        "X : 1\r\n",
        "X: 1\r\n folded\r\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert!(parse(&text).is_err(), "{text:?}");
    }
    assert!(parse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    assert!(parse("HTTP/1.1 099 No\r\n\r\n").is_err());
    assert!(parse("HTTP/3 200\r\n\r\n").is_err());
    assert_eq!(parse("HTTP/1.1 200\r\n\r\n"), Ok(true));
}

#[test]
fn responses_are_framed_by_code_and_method() {
    let framing = |text: &str, to_head| {
        let mut head = ResponseHead::default();
        assert_eq!(
            head.parse(text.as_bytes(), HeadLimits::FIRST, to_head),
            Ok(true)
        );
        (head.framing, head.keep_alive)
    };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(framing(length, false), (Framing::Length(7), true));
    assert_eq!(framing(length, true), (Framing::None, true));
    assert_eq!(
        framing("HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n", false),
        (Framing::None, true)
    );
    assert_eq!(
        framing("HTTP/1.1 200 OK\r\n\r\n", false),
        (Framing::UntilClose, false)
    );
    assert_eq!(
        framing("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false),
        (Framing::Length(1), false)
    );
    let old = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(framing(old, false), (Framing::Length(1), true));
}

#[test]
fn bad_chunks_are_refused() {
    for text in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "0x1\r\na",
        "1\na\r\n",
        "1\ra",
        "1;\nx\r\n",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\rX",
        "1\r\n\r\nX",
        "fffffffffffffffff\r\n",
        "0\r\n x: 1\r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\nx: 1\n\r\n",
        "0\r\n\rX",
        "0\r\nx\0: 1\r\n",
        "; x\r\n",
        " 1\r\n",
    ] {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let outcome = decoder.pump(text.as_bytes(), &mut Skipped);
        assert!(outcome.is_err(), "{text:?} gave {outcome:?}");
    }
}

#[test]
fn trailers_are_kept_and_limited() {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let text = b"0\r\na:b\r\nHost: x\r\ngrpc-status:\t0\r\n:x: y\r\n\r\n";
    assert!(decoder.pump(text, &mut Skipped).is_err());
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let text = b"0\r\na:b\r\nHost: x\r\ngrpc-status:\t0\r\n\r\n";
    assert_eq!(decoder.pump(text, &mut Skipped), Ok(text.len()));
    let fields: Vec<_> = decoder.trailers().iter().collect();
    assert_eq!(fields, [(&b"a"[..], &b"b"[..]), (b"grpc-status", b"0")]);
    for line in ["a:\r\n".to_owned(), format!("a: {}\r\n", "x".repeat(200))] {
        let text = ["0\r\n", &line.repeat(5000)].concat();
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        assert!(decoder.pump(text.as_bytes(), &mut Skipped).is_err());
    }
}

/// Passes a body through in parts of these sizes. The sizes are repeated as often as needed.
fn pump(
    framing: Framing,
    chunked: bool,
    input: &[u8],
    sizes: &[usize],
) -> (Result<usize, Refusal>, Vec<u8>, bool) {
    let mut decoder = BodyDecoder::new(framing);
    let mut encoder = BodyEncoder::new(chunked);
    let mut out = Vec::new();
    let mut taken = 0;
    for size in sizes.iter().cycle() {
        let end = input.len().min(taken + (*size).max(1));
        match decoder.pump(&input[taken..end], &mut encoder.to(&mut out)) {
            Ok(count) => taken += count,
            Err(refusal) => return (Err(refusal), out, false),
        }
        if encoder.is_done() || taken == input.len() {
            break;
        }
    }
    (Ok(taken), out, encoder.is_done())
}

/// A body as chunks.
fn chunks(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        out.extend_from_slice(format!("{:x};e\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nt: 1\r\n\r\n");
    out
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = RequestHead::default().parse(&bytes, HeadLimits::FIRST);
        let _ = ResponseHead::default().parse(&bytes, HeadLimits::FIRST, false);
        let _ = pump(Framing::Chunked, true, &bytes, &[1]);
    }

    /// Requests made of pieces that matter are either refused, or what is sent on is understood in the same way.
    #[test]
    fn what_is_sent_on_means_the_same(pieces in proptest::collection::vec(0_usize..24, 0..12)) {
        const PIECES: [&str; 24] = [
            "GET / HTTP/1.1\r\n", "POST http://b/x HTTP/1.1\r\n", "Host: a\r\n", "Content-Length: 3\r\n", "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: ", "chunked", "\r\n", "\n", "\r", " ", "\t", ":", "X: y\r\n",
            "Connection: close\r\n", "Connection: x\r\n", "Upgrade: websocket\r\n", "abc", "3\r\nabc\r\n", "0\r\n\r\n", "HTTP/1.1",
            "Connection: upgrade\r\n", "Expect: 100-continue\r\n",
        ];
        let text: String = pieces.iter().map(|index| PIECES[*index]).collect();
        let mut head = RequestHead::default();
        if let Ok(true) = head.parse(text.as_bytes(), HeadLimits::FIRST) {
            let request = RequestRef { head: &head, bytes: text.as_bytes() };
            let line = RequestLine { path: request.path_and_query(), query: None, host: request.authority() };
            let mut out = Vec::new();
            write_request(&mut out, request, line, &Unchanged);
            let mut again = RequestHead::default();
            prop_assert_eq!(again.parse(&out, HeadLimits::FIRST), Ok(true), "{}", String::from_utf8_lossy(&out));
            prop_assert_eq!(again.length, out.len());
            prop_assert_eq!(again.framing, head.framing);
            let sent = RequestRef { head: &again, bytes: &out };
            prop_assert_eq!(sent.authority(), request.authority());
            prop_assert_eq!(sent.path_and_query(), request.path_and_query());
        }
    }

    /// A head is refused or complete whatever pieces it comes in; only what ends later can be judged later.
    #[test]
    fn heads_may_be_split_anywhere(
        fields in proptest::collection::vec(("[!-~]{1,9}", "[ -~]{0,20}"), 0..6),
        at in 0_usize..200,
    ) {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let whole = parse(&text);
        let early = parse(&text[..at.min(text.len() - 1)]);
        match early {
            Ok(complete) => prop_assert!(!complete),
            Err(_) => prop_assert!(whole.is_err()),
        }
    }

    #[test]
    fn bodies_may_be_split_anywhere(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
        sizes in proptest::collection::vec(1_usize..50, 1..6),
        chunked in any::<bool>(),
    ) {
        let data = parts.concat();
        let input = [chunks(&parts).as_slice(), b"next"].concat();
        let (taken, out, done) = pump(Framing::Chunked, chunked, &input, &sizes);
        prop_assert_eq!(taken, Ok(input.len() - 4));
        prop_assert!(done);
        if chunked {
            let (_, again, done) = pump(Framing::Chunked, false, &out, &[1000]);
            prop_assert!(done);
            prop_assert_eq!(again, data);
        } else {
            prop_assert_eq!(out, data);
        }
    }

    /// Bytes that may be anything give the same outcome in one piece and in many.
    #[test]
    fn bad_bodies_are_bad_however_they_are_split(
        text in "[0-9a-f;\r\n x:]{0,40}",
        sizes in proptest::collection::vec(1_usize..9, 1..5),
    ) {
        let whole = pump(Framing::Chunked, false, text.as_bytes(), &[1000]);
        let split = pump(Framing::Chunked, false, text.as_bytes(), &sizes);
        prop_assert_eq!(whole.0, split.0);
        prop_assert_eq!(whole.2, split.2);
    }

    #[test]
    fn lengths_are_kept(data in proptest::collection::vec(any::<u8>(), 0..200), more in proptest::collection::vec(any::<u8>(), 0..9)) {
        let input = [data.as_slice(), &more].concat();
        let framing = if data.is_empty() { Framing::None } else { Framing::Length(data.len() as u64) };
        let (taken, out, done) = pump(framing, false, &input, &[7, 3]);
        prop_assert!(done);
        prop_assert_eq!(taken, Ok(data.len()));
        prop_assert_eq!(out, data);
    }
}
