//! A compiled schema, and what is asked of it.

use serde_json::Value;

use super::cause::{Cause, Reason};
use super::node::Node;
use super::path::FieldPath;
use super::prune::{self, Unknown};
use super::{cel, check, compile, default};

/// A compiled `openAPIV3Schema`.
#[derive(Debug)]
pub struct Schema {
    root: Node,
}

impl Schema {
    /// Compiles a schema, its patterns and its CEL rules.
    ///
    /// # Errors
    /// What is wrong with the schema, by the rules for structural schemas. Paths begin at the schema itself.
    pub fn compile(schema: &Value) -> Result<Self, Vec<Cause>> {
        compile::compile(schema).map(|root| Self { root })
    }

    /// The fields of an object that the schema does not have.
    pub fn unknown(&self, object: &Value) -> Vec<Unknown> {
        prune::unknown(&self.root, object)
    }

    /// Removes fields that the schema does not have, and tells which.
    pub fn prune(&self, object: &mut Value) -> Vec<Unknown> {
        let unknown = self.unknown(object);
        prune::remove(object, &unknown);
        unknown
    }

    /// Fills in defaults of missing fields. Null counts as missing where the schema does not allow it.
    pub fn default(&self, object: &mut Value) {
        default::fill(&self.root, object);
    }

    /// What is wrong with an object that was pruned and defaulted.
    ///
    /// `old` is the stored object in an update: rules about transitions compare with it, and parts that did not change are
    /// not checked again.
    pub fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = check::check(&self.root, object, old);
        if causes.iter().any(Cause::blocks_rules) {
            if self.root.has_rules() {
                let message = "some validation rules were not checked because the object was invalid; \
                               correct the existing errors to complete validation";
                causes.push(Cause::new(FieldPath::root(), Reason::Invalid, message));
            }
            return causes;
        }
        causes.extend(cel::check(&self.root, object, old, &[]));
        causes
    }

    /// All that is wrong with an object, which is not compared with another one. Where [`Schema::check`] evaluates no rule
    /// after some errors, this leaves out only the rules on values in which something is missing or has a wrong type.
    pub fn check_all(&self, object: &Value) -> Vec<Cause> {
        let mut causes = check::check(&self.root, object, None);
        let broken: Vec<FieldPath> = causes
            .iter()
            .filter(|cause| matches!(cause.reason, Reason::TypeInvalid | Reason::Required))
            .map(|cause| cause.path.clone())
            .collect();
        causes.extend(cel::check(&self.root, object, None, &broken));
        causes
    }
}
