//! Names, numbers and kinds of the fields that resources are written with. What the encoders do not write is not here; a test encodes
//! resources of every shape and finds nothing that is unknown.

mod cluster;
mod core;
mod listener;
mod route;

/// A message: full name, and its fields by number.
pub(super) type Message = (&'static str, &'static [Field]);

/// Number, name, kind.
pub(super) type Field = (u32, &'static str, Kind);

/// How a value is written to JSON.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Bool,
    Unsigned,
    /// A text in JSON.
    Signed64,
    Double,
    /// Number and name of each value.
    Enum(&'static [(i32, &'static str)]),
    Nested(&'static str),
    Repeated(&'static Kind),
    /// By text keys.
    Map(&'static Kind),
    /// `google.protobuf.UInt32Value` and its like: the value itself in JSON.
    Wrapped(&'static Kind),
    Duration,
    Struct,
    Any,
    /// Not shown.
    Redacted,
}

/// The fields of a message.
pub(super) fn fields(name: &str) -> Option<&'static [Field]> {
    [
        cluster::MESSAGES,
        core::MESSAGES,
        listener::MESSAGES,
        route::MESSAGES,
    ]
    .into_iter()
    .flatten()
    .find(|(known, _)| *known == name)
    .map(|(_, fields)| *fields)
}
