//! The access log of a proxy: its lines as values, and what their flags and details mean.

mod details;
mod entry;
mod flags;

pub use details::{Detail, detail};
pub use entry::Entry;
pub use flags::{FLAGS, Flag, flag};
