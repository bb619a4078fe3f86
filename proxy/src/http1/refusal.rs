//! Why a message is refused.

/// Why a message is refused: what the client is told, and what the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{details}")]
pub struct Refusal {
    /// Status code of the answer.
    pub code: u16,
    /// What is wrong, in the manner of Envoy's response code details.
    pub details: &'static str,
}

// === impl Refusal ===

impl Refusal {
    /// Anything that two implementations could understand differently.
    pub const fn bad(details: &'static str) -> Self {
        Self { code: 400, details }
    }

    /// A head that is too long.
    pub const TOO_LARGE: Self = Self {
        code: 431,
        details: "request_headers_too_large",
    };

    /// A head with too many fields.
    pub const TOO_MANY: Self = Self {
        code: 431,
        details: "too_many_headers",
    };
}

impl From<httparse::Error> for Refusal {
    fn from(error: httparse::Error) -> Self {
        Self::bad(match error {
            httparse::Error::HeaderName => "http1.invalid_header_name",
            httparse::Error::HeaderValue => "http1.invalid_header_value",
            httparse::Error::NewLine => "http1.invalid_line_end",
            httparse::Error::Status => "http1.invalid_status",
            httparse::Error::Token => "http1.invalid_request_line",
            httparse::Error::TooManyHeaders => return Self::TOO_MANY,
            httparse::Error::Version => "http1.invalid_version",
        })
    }
}
