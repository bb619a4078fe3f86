//! `telemetry.istio.io`.

use super::Row;
use crate::resource::Kind;

const VERSIONS: &[&str] = &["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"];

pub(super) const ROWS: &[Row] = &[Row::without_type(
    Kind::Telemetry,
    "Telemetry",
    "telemetries",
    VERSIONS,
)];
