//! What must hold for any input of a parser, beyond that it does not panic. Fuzzers look for inputs for which it does not; tests of mesh-proxy
//! replay the corpus.

use std::ops::Range;

use mesh_proxy::http1::{
    BodyDecoder, Framing, HeadLimits, HeadScan, Part, Refusal, RequestHead, RequestLine,
    RequestRef, ResponseHead, Unchanged, write_request,
};
use mesh_proxy::tls::Hello;
use mesh_xds::resource::{Resource, decode};
use mesh_xds::{ResourceType, XdsResource};

/// A request's head is accepted or not, however it comes in pieces, and what is accepted means the same when it is sent on.
pub fn request_head(data: &[u8]) {
    let mut head = RequestHead::default();
    let limits = HeadLimits::FIRST;
    let whole = head.parse(data, limits);
    if whole != Ok(true) {
        return;
    }
    let length = head.length;
    assert!(length <= data.len());
    let mut piecewise = RequestHead::default();
    let parse = |bytes: &[u8]| piecewise.parse(bytes, limits);
    assert_eq!(in_pieces(&data[..length], limits, parse), Ok(true));
    let request = RequestRef {
        head: &head,
        bytes: data,
    };
    let line = RequestLine {
        path: request.path_and_query(),
        query: None,
        host: request.authority(),
    };
    let mut out = Vec::new();
    write_request(&mut out, request, line, &Unchanged);
    // A proxy asks for a path, whatever the form in which it was asked.
    if !request.path_and_query().starts_with(b"/") {
        return;
    }
    let mut again = RequestHead::default();
    assert_eq!(
        again.parse(&out, HeadLimits::MOST),
        Ok(true),
        "{}",
        String::from_utf8_lossy(&out)
    );
    let sent = RequestRef {
        head: &again,
        bytes: &out,
    };
    assert_eq!(sent.method(), request.method());
    assert_eq!(sent.authority(), request.authority());
    assert_eq!(sent.path_and_query(), request.path_and_query());
    // The length is kept as it was written, also one of zero.
    assert_eq!(sent.head.framing, request.head.framing);
}

/// A response's head is accepted or not, however it comes in pieces.
pub fn response_head(data: &[u8]) {
    let limits = HeadLimits::FIRST;
    for to_head in [false, true] {
        let mut head = ResponseHead::default();
        if head.parse(data, limits, to_head) == Ok(true) {
            assert!(head.length <= data.len());
            let mut piecewise = ResponseHead::default();
            let parse = |bytes: &[u8]| piecewise.parse(bytes, limits, to_head);
            assert_eq!(in_pieces(&data[..head.length], limits, parse), Ok(true));
        }
    }
}

/// Chunks hold the same data and end at the same byte, whether they come at once or byte by byte.
pub fn chunked_body(data: &[u8]) {
    let at_once = chunks(data, data.len().max(1));
    assert_eq!(chunks(data, 1), at_once);
    assert_eq!(chunks(data, 7), at_once);
}

/// What the first bytes of a connection are does not change when more come, once it is known.
pub fn client_hello(data: &[u8]) {
    let mut known: Option<Hello> = None;
    let steps = (1..data.len()).step_by((data.len() / 64).max(1));
    for end in steps.chain([data.len()]) {
        let found = Hello::of(&data[..end]);
        if let Some(known) = &known {
            assert_eq!(found, *known);
        } else if found != Hello::More {
            known = Some(found);
        }
    }
}

/// A resource that is understood is the same after it was written and read again.
pub fn xds(data: &[u8]) {
    for kind in ResourceType::ALL {
        let Ok(resource) = decode(kind, data) else {
            continue;
        };
        let written = match &resource {
            Resource::Cluster(it) => it.encode(),
            Resource::Endpoints(it) => it.encode(),
            Resource::Secret(it) => it.encode(),
            Resource::Listener(it) => it.encode(),
            Resource::Route(it) => it.encode(),
            Resource::VirtualHost(it) => it.encode(),
            Resource::NameTable(it) => it.encode(),
        };
        assert_eq!(decode(kind, &written).as_ref(), Ok(&resource));
    }
}

/// The verdict about a head of which one byte comes after the other.
fn in_pieces(
    head: &[u8],
    limits: HeadLimits,
    mut parse: impl FnMut(&[u8]) -> Result<bool, Refusal>,
) -> Result<bool, Refusal> {
    let mut scan = HeadScan::default();
    for end in 1..head.len() {
        let early = scan.parse(&head[..end], limits, &mut parse)?;
        assert!(!early, "it ended at {end} of {}", head.len());
    }
    scan.parse(head, limits, &mut parse)
}

/// The data of chunks that come in pieces of a size, and where they end; none if they are refused.
fn chunks(input: &[u8], size: usize) -> Option<(Vec<u8>, usize)> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut data, mut taken) = (Vec::new(), 0);
    for piece in input.chunks(size) {
        let mut at = 0;
        while at < piece.len() && !decoder.is_done() {
            let Part {
                consumed,
                data: Range { start, end },
            } = decoder.decode(&piece[at..]).ok()?;
            data.extend_from_slice(&piece[at + start..at + end]);
            at += consumed;
        }
        taken += at;
    }
    decoder.is_done().then_some((data, taken))
}
