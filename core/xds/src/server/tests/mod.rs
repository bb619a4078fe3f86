//! The server's state machines, each against a small world of proxies.

mod delta;
mod refusals;
mod sotw;
mod world;
