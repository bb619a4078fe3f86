//! HTTP/1.1 without I/O: heads and bodies as bytes in and bytes out.
//!
//! ```text
//! bytes --RequestHead::parse--> spans into the bytes --write_request--> bytes of the head that goes upstream
//! bytes --BodyDecoder::pump--> data --BodySink: BodyEncoder--> bytes of the body, framed anew
//! ```
//!
//! Framing is strict (RFC 9112): what two implementations could understand differently is refused and never forwarded.

mod head;

mod fields;
mod method;
mod normalize;
mod request;
mod response;

mod body;
mod date;
mod refusal;
mod trailers;
mod write;

pub use body::{BodyDecoder, BodyEncoder, BodySink, EncodedBody, Part, Skipped};
pub use date::Dates;
pub use fields::{Fields, Known, Span};
pub use head::{Framing, HeadLimits, HeadScan};
pub(crate) use method::{begins_with_method, is_method};
pub use refusal::Refusal;
pub use request::{Form, RequestHead, RequestRef, Upgrade};
pub(crate) use request::{is_authority, nominated};
pub use response::ResponseHead;
pub use trailers::Trailers;
pub use write::{
    Edit, FieldSink, RequestLine, ResponseLine, Unchanged, write_decimal, write_field,
    write_request, write_response, write_status,
};
pub(crate) use write::{is_request_hop_field, is_response_hop_field};

#[cfg(test)]
mod tests;
