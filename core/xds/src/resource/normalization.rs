//! What the HTTP connection manager does to paths.

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager as HcmProto,
    http_connection_manager::PathWithEscapedSlashesAction as EscapedSlashes,
};
use envoy_types::pb::google::protobuf::BoolValue;
use mesh_ir::PathNormalization;

use super::border::{At, InvalidResource};
use super::values;

/// `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action` of each level.
const LEVELS: [(PathNormalization, bool, bool, EscapedSlashes); 4] = [
    (
        PathNormalization::None,
        false,
        false,
        EscapedSlashes::KeepUnchanged,
    ),
    (
        PathNormalization::Base,
        true,
        false,
        EscapedSlashes::KeepUnchanged,
    ),
    (
        PathNormalization::MergeSlashes,
        true,
        true,
        EscapedSlashes::KeepUnchanged,
    ),
    (
        PathNormalization::DecodeAndMergeSlashes,
        true,
        true,
        EscapedSlashes::UnescapeAndForward,
    ),
];

pub(super) fn put(proto: &mut HcmProto, value: PathNormalization) {
    for (level, normalize, merge, escaped) in LEVELS {
        if level == value {
            proto.normalize_path = values::bool_value(normalize);
            proto.merge_slashes = merge;
            proto.path_with_escaped_slashes_action = escaped.into();
        }
    }
}

/// The level that the fields add up to; other combinations would change paths in a way that nothing here does.
pub(super) fn from_proto(
    normalize_path: Option<BoolValue>,
    merge_slashes: bool,
    escaped_slashes: i32,
    at: &At<'_>,
) -> Result<PathNormalization, InvalidResource> {
    let escaped = match EscapedSlashes::try_from(escaped_slashes) {
        // Envoy's own default.
        Ok(EscapedSlashes::ImplementationSpecificDefault) => EscapedSlashes::KeepUnchanged,
        Ok(escaped) => escaped,
        Err(_) => return Err(at.field("path_with_escaped_slashes_action").unsupported()),
    };
    let asked = (values::is_true(normalize_path), merge_slashes, escaped);
    LEVELS
        .iter()
        .find(|(_, normalize, merge, escaped)| (*normalize, *merge, *escaped) == asked)
        .map(|(level, ..)| *level)
        .ok_or_else(|| {
            at.value(
                "normalize_path, merge_slashes and path_with_escaped_slashes_action must be those of one of Istio's \
                 levels of path normalization: NONE, BASE, MERGE_SLASHES or DECODE_AND_MERGE_SLASHES",
            )
        })
}
