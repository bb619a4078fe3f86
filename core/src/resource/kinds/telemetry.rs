//! `telemetry.istio.io`.

use super::{Definition, Effect, Row, definition, typed};
use crate::model::TelemetrySpec;
use crate::resource::compile;
use crate::resource::{Kind, Object};
use crate::validate::telemetry;

const VERSIONS: &[&str] = &["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"];
const CATEGORIES: &[&str] = &["istio-io", "telemetry-istio-io"];

pub(super) const ROWS: &[Row] = &[Row {
    effect: Effect::Partly,
    ..typed!(
        Telemetry,
        TelemetrySpec,
        telemetry::check,
        VERSIONS,
        "telemetries",
        &TELEMETRY
    )
}];

static TELEMETRY: Definition = definition!(TelemetrySpec, &["telemetry"], CATEGORIES, &[]);
