//! What is wrong with an object, and where: findings name a field path; only [`crate::source`] knows lines.

use std::fmt;

pub use mesh_schema::{FieldPath, Segment};
use serde::{Deserialize, Serialize};

use crate::resource::ResourceKey;
use crate::source::Origin;

/// Code of findings about objects that do not have the shape or the values of their kind; Istio's own.
pub const SCHEMA: &str = "IST0106";
/// Code of findings about values that are accepted although they are probably not what was meant; Istio's own.
pub const SCHEMA_WARNING: &str = "IST0133";
/// Code of findings about objects and fields that are valid, but on which nothing acts yet.
pub const NO_EFFECT: &str = "MESH0001";
/// Our code for parts of objects that are left out, since nothing can act on them yet or they lack something.
pub const UNSUPPORTED: &str = "MESH0004";

/// How bad a finding is. Orders from mild to severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Broken.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Code of the rule, `IST0101`.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The object it is about; none when the text was not even an object.
    pub resource: Option<ResourceKey>,
    /// Where the object came from.
    pub origin: Origin,
    /// The field that is to blame; empty for the whole object.
    pub path: FieldPath,
    /// What is wrong, as a sentence without a final period.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Whether this comes from checking an object against its kind, refused or not.
    pub fn is_of_schema(&self) -> bool {
        [SCHEMA, SCHEMA_WARNING].contains(&self.code)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Info => "Info",
            Level::Warning => "Warning",
            Level::Error => "Error",
        })
    }
}
