//! How foreign messages are opened: every field is named, and errors say where they are.

use std::fmt;

use prost::DecodeError;

/// Why a resource cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}{reason}", if path.is_empty() { "" } else { ": " })]
pub struct InvalidResource {
    /// Path of the field, `virtual_hosts[2].routes[0].route.cors`; empty for the resource itself.
    pub path: String,
    /// What is wrong with it.
    pub reason: InvalidReason,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReason {
    /// The bytes are no such message.
    #[error("not a valid protobuf message: {0}")]
    Protobuf(String),
    /// The field asks for something that the proxy cannot do.
    #[error("not supported by this proxy")]
    Unsupported,
    /// A field that is needed is missing.
    #[error("missing")]
    Missing,
    /// The value makes no sense.
    #[error("{0}")]
    Value(String),
}

/// The place of a message within its resource; a path that costs nothing until an error needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Root,
    Field(&'static str),
    Index(usize),
}

/// Opens a message without leaving a field out: `keep` binds fields, `refuse` fails when one is set, `ignore` lists those that do
/// not change what happens to traffic.
macro_rules! open {
    ($at:expr, $message:expr => $($kind:ident)::+ {
        keep { $($keep:ident),* $(,)? }
        refuse { $($refuse:ident),* $(,)? }
        ignore { $($ignore:ident),* $(,)? }
    }) => {
        let $($kind)::+ { $($keep,)* $($refuse,)* $($ignore: _,)* } = $message;
        $($crate::resource::border::refuse($at, stringify!($refuse), &$refuse)?;)*
    };
}

/// Fails when a field is set.
pub(super) fn refuse<T: Default + PartialEq>(
    at: &At<'_>,
    field: &'static str,
    value: &T,
) -> Result<(), InvalidResource> {
    if *value == T::default() {
        Ok(())
    } else {
        Err(at.field(field).unsupported())
    }
}

pub(super) fn unreadable(at: &At<'_>, error: &DecodeError) -> InvalidResource {
    at.error(InvalidReason::Protobuf(error.to_string()))
}

// === impl At ===

impl<'a> At<'a> {
    pub(super) fn root() -> Self {
        Self {
            parent: None,
            step: Step::Root,
        }
    }

    pub(super) fn field(&'a self, name: &'static str) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    pub(super) fn index(&'a self, index: usize) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    pub(super) fn error(&self, reason: InvalidReason) -> InvalidResource {
        InvalidResource {
            path: self.to_string(),
            reason,
        }
    }

    pub(super) fn unsupported(&self) -> InvalidResource {
        self.error(InvalidReason::Unsupported)
    }

    pub(super) fn missing(&self) -> InvalidResource {
        self.error(InvalidReason::Missing)
    }

    pub(super) fn value(&self, what: impl Into<String>) -> InvalidResource {
        self.error(InvalidReason::Value(what.into()))
    }

    /// The value of a field that must be there.
    pub(super) fn require<T>(
        &self,
        name: &'static str,
        value: Option<T>,
    ) -> Result<T, InvalidResource> {
        value.ok_or_else(|| self.field(name).missing())
    }

    /// Converts a list, with the place of each element.
    pub(super) fn list<T, U>(
        &self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
        convert: impl Fn(T, &At<'_>) -> Result<U, InvalidResource>,
    ) -> Result<Vec<U>, InvalidResource> {
        let list = self.field(name);
        values
            .into_iter()
            .enumerate()
            .map(|(index, value)| convert(value, &list.index(index)))
            .collect()
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Field(name) => {
                let dot = self
                    .parent
                    .is_some_and(|parent| !matches!(parent.step, Step::Root));
                let name = name.strip_prefix("r#").unwrap_or(name);
                write!(f, "{}{name}", if dot { "." } else { "" })
            }
        }
    }
}
