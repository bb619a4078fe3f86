//! What gRPC adds to HTTP: its status, its timeout, its kind of content.

use std::time::Duration;

use crate::http1::{Fields, Known, RequestRef};

/// Whether a request is a call of gRPC: `application/grpc`, alone or with the name of a codec behind it. gRPC-Web is not.
pub fn is_grpc(request: RequestRef<'_>) -> bool {
    let fields = request.fields();
    let Some(content) = fields.known(Known::ContentType) else {
        return false;
    };
    let rest = content.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The status that fields tell, of a head or behind a body.
pub fn status(fields: Fields<'_>) -> Option<u8> {
    let status = fields.known(Known::GrpcStatus)?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// The status for an answer of the proxy that has this code, as gRPC and Envoy map them.
pub fn status_of(code: u16) -> u32 {
    const UNKNOWN: u32 = 2;
    const PERMISSION_DENIED: u32 = 7;
    const UNIMPLEMENTED: u32 = 12;
    const INTERNAL: u32 = 13;
    const UNAVAILABLE: u32 = 14;
    const UNAUTHENTICATED: u32 = 16;
    match code {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The HTTP status that a gRPC status comes to, as Envoy maps it.
pub fn http_status(grpc: u8) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// A `grpc-timeout`: at most eight digits and a unit.
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A text as `grpc-message` has it: printable ASCII, the rest escaped.
pub fn encode(text: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_eight_digits_and_a_unit() {
        assert_eq!(timeout(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(
            timeout(b"99999999H").map(|time| time.as_secs()),
            Some(359_999_996_400)
        );
        assert_eq!(timeout(b"1n"), Some(Duration::from_nanos(1)));
        for bad in [&b"m"[..], b"", b"100", b"100000000m", b"-1S", b"1s"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn codes_have_the_status_that_clients_of_grpc_expect() {
        let codes = [400, 401, 403, 404, 429, 503, 504, 500, 408];
        assert_eq!(codes.map(status_of), [13, 16, 7, 12, 14, 14, 14, 2, 2]);
        assert_eq!(encode("a %\u{e4}\n"), b"a %25%C3%A4%0A");
    }
}
