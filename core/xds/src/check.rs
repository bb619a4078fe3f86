//! Authorizers that are asked by gRPC: the messages of `envoy.service.auth.v3.Authorization/Check`.

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{
    Address, HeaderValueOption, QueryParameter, SocketAddress, address::Address as AddressKind,
    header_value_option::HeaderAppendAction, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::google::protobuf::Timestamp;
use mesh_ir::evaluate::{Check, CheckAnswer, CheckPeer, CheckedRequest, Denial, Grant};
use mesh_ir::{HeaderAppend, HeaderValue};
use prost::{DecodeError, Message as _};

/// Path of the call.
pub const CHECK_PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Status of a denial that names none.
const FORBIDDEN: u16 = 403;

/// The message of a question; `as_bytes` says whether a body is told as bytes.
pub fn encode(check: &Check, as_bytes: bool) -> Vec<u8> {
    let Check {
        source,
        destination,
        time,
        request,
    } = check;
    let request = request.as_ref();
    let http = request.map(|request| http(request, as_bytes));
    let attributes = AttributeContext {
        source: Some(peer(source)),
        destination: Some(peer(destination)),
        request: Some(Request {
            time: Some(Timestamp {
                seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(time.subsec_nanos()).unwrap_or_default(),
            }),
            http,
        }),
        ..AttributeContext::default()
    };
    CheckRequest {
        attributes: Some(attributes),
    }
    .encode_to_vec()
}

fn peer(value: &CheckPeer) -> Peer {
    let CheckPeer { address, principal } = value;
    Peer {
        address: Some(to_address(*address)),
        principal: principal.clone(),
        ..Peer::default()
    }
}

fn to_address(address: SocketAddr) -> Address {
    Address {
        address: Some(AddressKind::SocketAddress(SocketAddress {
            address: address.ip().to_canonical().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
            ..SocketAddress::default()
        })),
    }
}

fn http(value: &CheckedRequest, as_bytes: bool) -> HttpRequest {
    let CheckedRequest {
        id,
        method,
        scheme,
        host,
        path,
        protocol,
        size,
        headers: _,
        body,
    } = value;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = value.grpc_headers();
    let body = body.as_deref().unwrap_or_default();
    HttpRequest {
        id: id.clone(),
        method: text(method),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect(),
        path: text(path),
        host: text(host),
        scheme: text(scheme),
        protocol: (*protocol).to_owned(),
        size: size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX)),
        body: if as_bytes { String::new() } else { text(body) },
        raw_body: if as_bytes { body.to_vec() } else { Vec::new() },
        ..HttpRequest::default()
    }
}

/// What an answer means.
///
/// # Errors
/// When the bytes are no answer.
pub fn decode(bytes: &[u8]) -> Result<CheckAnswer, DecodeError> {
    let CheckResponse {
        status,
        // Nothing here reads what one filter leaves to another.
        dynamic_metadata: _,
        http_response,
    } = CheckResponse::decode(bytes)?;
    let allowed = status.is_none_or(|status| status.code == 0);
    Ok(match (allowed, http_response) {
        (_, Some(HttpResponse::ErrorResponse(_))) => CheckAnswer::Error,
        (true, Some(HttpResponse::OkResponse(ok))) => CheckAnswer::Allowed(grant(ok)),
        (true, _) => CheckAnswer::Allowed(Grant::default()),
        (false, Some(HttpResponse::DeniedResponse(denied))) => CheckAnswer::Denied(denial(denied)),
        (false, _) => CheckAnswer::Denied(Denial {
            code: FORBIDDEN,
            headers: Vec::new(),
            body: Vec::new(),
        }),
    })
}

fn grant(proto: OkHttpResponse) -> Grant {
    #[expect(deprecated, reason = "messages are opened completely")]
    let OkHttpResponse {
        headers,
        headers_to_remove,
        dynamic_metadata: _,
        response_headers_to_add,
        query_parameters_to_set,
        query_parameters_to_remove,
    } = proto;
    let mut grant = Grant {
        remove: headers_to_remove.iter().map(|name| lower(name)).collect(),
        response: response_headers_to_add
            .into_iter()
            .filter_map(|option| header(option, false))
            .collect(),
        set_parameters: query_parameters_to_set
            .into_iter()
            .map(|QueryParameter { key, value }| (key.into_bytes(), value.into_bytes()))
            .collect(),
        remove_parameters: query_parameters_to_remove
            .into_iter()
            .map(String::into_bytes)
            .collect(),
        ..Grant::default()
    };
    for option in headers {
        let Some((name, value, appends)) = opened(option, true) else {
            continue;
        };
        let list = if appends {
            &mut grant.append
        } else {
            &mut grant.set
        };
        list.push((name, value));
    }
    grant
}

fn denial(proto: DeniedHttpResponse) -> Denial {
    let DeniedHttpResponse {
        status,
        headers,
        body,
    } = proto;
    let code = status.and_then(|status| u16::try_from(status.code).ok());
    // What is no status of an answer would be no HTTP.
    let code = code.filter(|code| (200..600).contains(code));
    Denial {
        code: code.unwrap_or(FORBIDDEN),
        headers: headers
            .into_iter()
            .filter_map(|option| header(option, true))
            .collect(),
        body: body.into_bytes(),
    }
}

fn lower(name: &str) -> Arc<str> {
    name.to_ascii_lowercase().into()
}

/// A header with its lower-case name, and whether its value is added to what is there. Where the message says nothing, `overwrites` does.
fn opened(option: HeaderValueOption, overwrites: bool) -> Option<(Arc<str>, Vec<u8>, bool)> {
    #[expect(deprecated, reason = "authorizers still say it like that")]
    let HeaderValueOption {
        header,
        append,
        append_action,
        keep_empty_value: _,
    } = option;
    let header = header?;
    let value = if header.raw_value.is_empty() {
        header.value.into_bytes()
    } else {
        header.raw_value
    };
    let is_field = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
    let overwrite = HeaderAppendAction::OverwriteIfExistsOrAdd as i32;
    let appends = match append {
        Some(append) => append.value,
        None => !overwrites && append_action != overwrite,
    };
    let valid = !header.key.is_empty() && value.iter().all(is_field);
    valid.then(|| (lower(&header.key), value, appends))
}

fn header(option: HeaderValueOption, overwrites: bool) -> Option<HeaderValue> {
    let (name, value, appends) = opened(option, overwrites)?;
    Some(HeaderValue {
        name,
        value: String::from_utf8_lossy(&value).into(),
        append: if appends {
            HeaderAppend::Append
        } else {
            HeaderAppend::Overwrite
        },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use envoy_types::pb::envoy::config::core::v3::HeaderValue as HeaderProto;
    use envoy_types::pb::envoy::r#type::v3::HttpStatus;
    use envoy_types::pb::google::protobuf::BoolValue;
    use envoy_types::pb::google::rpc::Status;

    use super::*;

    fn option(name: &str, value: &str, append: Option<bool>) -> HeaderValueOption {
        #[expect(deprecated, reason = "authorizers still say it like that")]
        HeaderValueOption {
            header: Some(HeaderProto {
                key: name.to_owned(),
                value: value.to_owned(),
                ..HeaderProto::default()
            }),
            append: append.map(|value| BoolValue { value }),
            ..HeaderValueOption::default()
        }
    }

    fn answer(code: i32, response: Option<HttpResponse>) -> CheckAnswer {
        let response = CheckResponse {
            status: Some(Status {
                code,
                ..Status::default()
            }),
            http_response: response,
            ..CheckResponse::default()
        };
        decode(&response.encode_to_vec()).unwrap()
    }

    #[test]
    fn an_answer_allows_or_denies_with_what_is_to_be_changed() {
        let ok = OkHttpResponse {
            headers: vec![
                option("X-User", "jo", None),
                option("x-roles", "admin", Some(true)),
                option("x-bad", "a\r\nb: c", None),
            ],
            headers_to_remove: vec!["X-Secret".to_owned()],
            response_headers_to_add: vec![option("x-told", "1", None)],
            ..OkHttpResponse::default()
        };
        let CheckAnswer::Allowed(grant) = answer(0, Some(HttpResponse::OkResponse(ok))) else {
            panic!("not allowed");
        };
        assert_eq!(grant.set, [("x-user".into(), b"jo".to_vec())]);
        assert_eq!(grant.append, [("x-roles".into(), b"admin".to_vec())]);
        assert_eq!(grant.remove, ["x-secret".into()]);
        assert_eq!(grant.response.len(), 1);

        let denied = DeniedHttpResponse {
            status: Some(HttpStatus { code: 401 }),
            headers: vec![option("www-authenticate", "Basic", None)],
            body: "who are you?".to_owned(),
        };
        let denied = answer(16, Some(HttpResponse::DeniedResponse(denied)));
        let CheckAnswer::Denied(denial) = denied else {
            panic!("not denied");
        };
        assert_eq!((denial.code, denial.headers.len()), (401, 1));
        assert_eq!(denial.body, b"who are you?");

        assert!(matches!(answer(0, None), CheckAnswer::Allowed(_)));
        let plain = answer(7, None);
        assert!(matches!(plain, CheckAnswer::Denied(denial) if denial.code == 403));
        decode(b"\xff\xff").unwrap_err();
    }

    #[test]
    fn a_question_tells_both_sides_and_the_request() {
        let side = |address: &str, principal: &str| CheckPeer {
            address: address.parse().unwrap(),
            principal: principal.to_owned(),
        };
        let check = Check {
            source: side("10.0.0.1:40000", "spiffe://a/ns/b/sa/c"),
            destination: side("10.0.0.2:8080", ""),
            time: Duration::from_millis(1_500),
            request: Some(CheckedRequest {
                id: "id".to_owned(),
                method: b"POST".to_vec(),
                scheme: b"http".to_vec(),
                host: b"echo".to_vec(),
                path: b"/a?b".to_vec(),
                protocol: "HTTP/1.1",
                size: Some(2),
                headers: vec![("x-a".to_owned(), b"1".to_vec())],
                body: Some(b"{}".to_vec()),
            }),
        };
        let told = CheckRequest::decode(&*encode(&check, false)).unwrap();
        let attributes = told.attributes.unwrap();
        assert_eq!(attributes.source.unwrap().principal, "spiffe://a/ns/b/sa/c");
        let http = attributes.request.unwrap().http.unwrap();
        assert_eq!((&*http.path, &*http.body, http.size), ("/a?b", "{}", 2));
        assert_eq!(http.headers[":path"], "/a?b");
        assert_eq!(http.headers["x-a"], "1");
        let told = CheckRequest::decode(&*encode(&check, true)).unwrap();
        let http = told.attributes.unwrap().request.unwrap().http.unwrap();
        assert_eq!((&*http.body, &*http.raw_body), ("", &b"{}"[..]));
    }
}
