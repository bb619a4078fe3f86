//! `pods/portforward` as kubectl speaks it: SPDY/3.1 frames as a byte stream in a WebSocket.
//!
//! ```text
//! WebSocket messages -> bytes -> frames -> SYN_STREAM (headers: streamtype, port, requestid)
//!                                            error stream + data stream of one requestid = one connection
//! pod's port <-> data stream;  what went wrong -> error stream
//! ```
//!
//! Only what such a client needs is understood: no flow control (its own library has none), no pushes, and headers only
//! in the frames that open streams.

mod forward;
mod frame;
mod headers;
mod inflate;

pub use forward::serve;

/// The subprotocol of the WebSocket.
pub const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
