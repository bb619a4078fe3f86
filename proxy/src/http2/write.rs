//! Heads that go out.

use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

use crate::http1::{
    Edit, FieldSink, Fields, Known, RequestLine, RequestRef, ResponseHead, is_request_hop_field,
    is_response_hop_field, nominated,
};

/// Fields as the library wants them. What is no field of HTTP/2 is left out.
#[derive(Debug, Default)]
pub struct HeaderSink(pub HeaderMap);

/// A request's head for the next server.
///
/// # Errors
/// When the method, the authority or the path cannot be sent by HTTP/2.
pub fn write_request(
    request: RequestRef<'_>,
    line: RequestLine<'_>,
    edit: &impl Edit,
) -> Result<Request<()>, http::Error> {
    let mut fields = HeaderSink::default();
    let nominates = request.head.nominates;
    let own = request.fields();
    for span in own.spans() {
        let (name, value) = (span.name(own.bytes()), span.value(own.bytes()));
        let stays = is_request_hop_field(span.known)
            || edit.drops(span, name)
            || (nominates && nominated(own, name));
        if span.known == Known::Te && !nominates && value.eq_ignore_ascii_case(b"trailers") {
            // The one value that HTTP/2 has, which gRPC's servers ask for.
            fields.0.insert(TE, HeaderValue::from_static("trailers"));
        } else if !stays {
            fields.field(name, value);
        }
    }
    edit.add(&mut fields);
    let mut path = line.path.to_vec();
    if let Some(query) = line.query {
        path.push(b'?');
        path.extend_from_slice(query);
    }
    let uri = Uri::builder()
        .scheme(request.scheme())
        .authority(line.host)
        .path_and_query(path)
        .build()?;
    let mut written = Request::new(());
    *written.method_mut() = Method::from_bytes(request.method())?;
    *written.uri_mut() = uri;
    *written.headers_mut() = fields.0;
    Ok(written)
}

/// A response's head for the client.
pub fn write_response(head: &ResponseHead, bytes: &[u8], edit: &impl Edit) -> Response<()> {
    let mut fields = HeaderSink::default();
    let own = head.fields(bytes);
    for span in own.spans() {
        let name = span.name(own.bytes());
        let stays = is_response_hop_field(span.known)
            || edit.drops(span, name)
            || (head.nominates && nominated(own, name));
        if !stays {
            fields.field(name, span.value(own.bytes()));
        }
    }
    // RFC 9110, 8.6: not in these.
    if head.code < 200 || head.code == 204 {
        fields.0.remove(CONTENT_LENGTH);
    }
    edit.add(&mut fields);
    let mut written = Response::new(());
    *written.status_mut() = StatusCode::from_u16(head.code).unwrap_or(StatusCode::BAD_GATEWAY);
    *written.headers_mut() = fields.0;
    written
}

/// The fields behind a body.
pub fn trailers(fields: Fields<'_>) -> HeaderMap {
    let mut sink = HeaderSink::default();
    for (name, value) in fields.iter() {
        sink.field(name, value);
    }
    sink.0
}

impl FieldSink for HeaderSink {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            self.0.append(name, value);
        }
    }

    fn number(&mut self, name: &[u8], number: u64) {
        if let Ok(name) = HeaderName::from_bytes(name) {
            self.0.append(name, HeaderValue::from(number));
        }
    }
}
