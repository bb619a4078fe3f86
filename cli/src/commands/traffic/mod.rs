//! Commands that show traffic as the proxies count it: `edges`, `stat`, `graph`, `top` and `tap`.

pub mod edges;
pub mod graph;
mod numbers;
pub mod stat;
pub mod tap;
pub mod top;
mod window;
