//! The header fields of a head that stays where it was read: names and values are offsets into its bytes.

use std::borrow::Cow;

/// Where one field lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte of the name.
    pub name: u32,
    /// Length of the name.
    pub name_len: u16,
    /// What the name means to the codec.
    pub known: Known,
    /// First byte of the value, without white space around it.
    pub value: u32,
    /// Length of the value.
    pub value_len: u32,
}

/// Fields of a head, borrowed from the buffer in which it was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

macro_rules! known {
    ($($variant:ident $length:literal $first:literal $name:literal,)*) => {
        /// Names that mean something to the codec or the proxy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Known {
            $(#[doc = $name] $variant,)*
            /// Any other name.
            Other,
        }

        impl Known {
            /// Every known name, in lower case.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $name),)*];

            /// What a name means, whatever its case.
            #[inline]
            pub fn of(name: &[u8]) -> Self {
                // Length and first letter tell nearly all apart, so that hardly ever more than one name is compared.
                match (name.len(), name.first().map_or(0, |byte| byte | 0x20)) {
                    $(($length, $first) if name.eq_ignore_ascii_case($name.as_bytes()) => Self::$variant,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

known! {
    Te 2 b't' "te",
    Date 4 b'd' "date",
    Host 4 b'h' "host",
    Expect 6 b'e' "expect",
    Server 6 b's' "server",
    Upgrade 7 b'u' "upgrade",
    Trailer 7 b't' "trailer",
    Connection 10 b'c' "connection",
    KeepAlive 10 b'k' "keep-alive",
    UserAgent 10 b'u' "user-agent",
    GrpcStatus 11 b'g' "grpc-status",
    ContentType 12 b'c' "content-type",
    RequestId 12 b'x' "x-request-id",
    ContentLength 14 b'c' "content-length",
    Http2Settings 14 b'h' "http2-settings",
    ForwardedFor 15 b'x' "x-forwarded-for",
    Internal 16 b'x' "x-envoy-internal",
    ProxyConnection 16 b'p' "proxy-connection",
    ForwardedProto 17 b'x' "x-forwarded-proto",
    TransferEncoding 17 b't' "transfer-encoding",
    Overloaded 18 b'x' "x-envoy-overloaded",
    RateLimited 19 b'x' "x-envoy-ratelimited",
    ProxyAuthorization 19 b'p' "proxy-authorization",
    AttemptCount 21 b'x' "x-envoy-attempt-count",
    OriginalPath 21 b'x' "x-envoy-original-path",
    ForwardedClientCert 23 b'x' "x-forwarded-client-cert",
    ExternalAddress 24 b'x' "x-envoy-external-address",
    DecoratorOperation 27 b'x' "x-envoy-decorator-operation",
    ServiceTime 29 b'x' "x-envoy-upstream-service-time",
}

// === impl Span ===

impl Span {
    /// A field whose name and value begin there; none if it is too long.
    pub(crate) fn new(name_at: usize, name: &[u8], value_at: usize, value: &[u8]) -> Option<Self> {
        Some(Self {
            name: u32::try_from(name_at).ok()?,
            name_len: u16::try_from(name.len()).ok()?,
            known: Known::of(name),
            value: u32::try_from(value_at).ok()?,
            value_len: u32::try_from(value.len()).ok()?,
        })
    }

    /// The name, in `bytes`.
    #[inline]
    pub fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.name as usize;
        bytes
            .get(start..start + usize::from(self.name_len))
            .unwrap_or_default()
    }

    /// The value, in `bytes`.
    #[inline]
    pub fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.value as usize;
        bytes
            .get(start..start + self.value_len as usize)
            .unwrap_or_default()
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Fields that lie in `bytes`.
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans }
    }

    /// The first value of a name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The first value of a known name.
    #[inline]
    pub fn known(&self, known: Known) -> Option<&'a [u8]> {
        self.spans
            .iter()
            .find(|span| span.known == known)
            .map(|span| span.value(self.bytes))
    }

    /// All values of a name, joined by commas.
    pub fn joined(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        join(
            self.iter()
                .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
                .map(|(_, value)| value),
        )
    }

    /// All values of a known name, joined by commas.
    pub fn joined_known(&self, known: Known) -> Option<Cow<'a, [u8]>> {
        let bytes = self.bytes;
        join(
            self.spans
                .iter()
                .filter(|span| span.known == known)
                .map(|span| span.value(bytes)),
        )
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.spans
            .iter()
            .map(move |span| (span.name(bytes), span.value(bytes)))
    }

    /// Where the fields lie.
    pub fn spans(&self) -> &'a [Span] {
        self.spans
    }

    /// What they lie in.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

fn join<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Cow<'a, [u8]>> {
    let mut values = values;
    let mut joined = Cow::Borrowed(values.next()?);
    for value in values {
        let joined = joined.to_mut();
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (known, name) in Known::ALL {
            assert_eq!(Known::of(name.as_bytes()), *known, "{name}");
            assert_eq!(Known::of(name.to_uppercase().as_bytes()), *known, "{name}");
        }
        assert_eq!(Known::of(b""), Known::Other);
        assert_eq!(Known::of(b"hosts"), Known::Other);
        assert_eq!(Known::of(b"hose"), Known::Other);
    }
}
