//! The workers: one thread, one single-threaded runtime and one set of sockets for each, nothing shared between them while a request is
//! on its way.
//!
//! ```text
//! Workers::apply(ProxyConfig) --compile--> Arc<Runtime> --swap--> every worker sees it at its next request
//!         |
//!         +--bind (SO_REUSEPORT, one socket for each worker)--> accept --> connection --> requests --> Record
//! ```

mod options;

pub use options::Options;
