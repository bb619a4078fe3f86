//! HTTP/1.1 without I/O: heads and bodies as bytes in and bytes out.
//!
//! ```text
//! bytes --parse--> RequestHead (spans into the bytes) --rewrite--> bytes of the head that goes upstream
//! bytes --BodyDecoder--> parts of the body --BodyEncoder--> bytes
//! ```
//!
//! Framing is strict (RFC 9112): what two implementations could understand differently is refused and never forwarded.

pub mod fields;

pub use fields::{Fields, Known, Span};
