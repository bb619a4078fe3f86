//! Structural schemas: what an API server does with the schema of a CustomResourceDefinition, as pure functions.
//!
//! ```text
//! openAPIV3Schema --compile--> Schema --+-- prune    unknown fields
//!                                       +-- default  missing fields, null where null is not allowed
//!                                       +-- check    types, values, lists, CEL rules -> causes with field paths
//! ```
//!
//! The embedded API server and the offline commands use the same [`Schema`], so both say the same. Keywords are those of
//! `apiextensions.k8s.io/v1`. A pattern or a rule that cannot be compiled makes the schema invalid; nothing is skipped.

mod cause;
mod cel;
mod check;
mod compile;
mod default;
mod format;
mod node;
mod path;
mod pattern;
mod prune;
mod schema;
#[cfg(test)]
mod tests;

pub use cause::{Cause, Reason};
pub use path::{FieldPath, Segment};
pub use pattern::{PatternError, compile as compile_pattern};
pub use prune::Unknown;
pub use schema::Schema;

/// Fields that every object has; schemas do not describe them.
const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Whether a text is an expression of CEL, whatever it names.
///
/// # Errors
/// Why it is none, as part of a sentence.
pub fn check_expression(text: &str) -> Result<(), String> {
    cel::check_syntax(text)
}
