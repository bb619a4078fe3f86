//! What tests of several modules share: an API server in memory, without sockets, so that it runs on paused time.

mod fake_api;

pub use fake_api::{FakeApi, Fault, Seen};
