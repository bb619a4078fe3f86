//! Envoy's API as data: which fields its messages have, and what can be done with any message by that alone.
//!
//! ```text
//! messages.txt --descriptor--> JSON <--show-- encoded message --merge--> encoded message
//!                               |--read--------^
//! ```
//!
//! `messages.txt` is written from the descriptors of the `envoy-types` crate by this crate's test, which also holds that the two agree.
//! Nothing here knows what a message means.

#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used)]

mod descriptor;

mod duration;
mod wire;

mod merge;
mod read;
mod show;

pub use merge::merge;
pub use read::{InvalidMessage, Segment, any_from_json, from_json};
pub use show::{Unreadable, any_to_json, struct_json};

/// The full name of a message in a type URL.
pub fn type_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// The type URL of a message by its full name.
pub fn type_url(name: &str) -> String {
    ["type.googleapis.com/", name].concat()
}

/// Whether a message of this full name is known.
pub fn is_known(name: &str) -> bool {
    descriptor::Message::find(name).is_some()
}

#[cfg(test)]
mod tests;
