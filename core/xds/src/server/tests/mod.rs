//! The server's state machines, each against a small world of proxies.

mod delta;
mod sotw;
mod world;
