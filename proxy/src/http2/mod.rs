//! HTTP/2 without I/O: heads of the library's form to and from the one form in which heads are looked at, bytes with the places of their
//! fields. The bytes are HTTP/1's lines, so that a head of HTTP/2 goes to a server of HTTP/1.1 as it is.
//!
//! The library has refused what RFC 9113 calls malformed: fields of connections, wrong pseudo-fields, bad names and values, bodies of
//! another length than `content-length`.

mod read;
mod write;

pub use read::{read_request, read_response, read_trailers};
pub use write::{HeaderSink, trailers, write_request, write_response};

#[cfg(test)]
mod tests;
