//! `extensions.istio.io`.

use super::Row;
use crate::resource::Kind;

const VERSIONS: &[&str] = &["extensions.istio.io/v1alpha1"];

pub(super) const ROWS: &[Row] = &[Row::without_type(
    Kind::WasmPlugin,
    "WasmPlugin",
    "wasmplugins",
    VERSIONS,
)];
