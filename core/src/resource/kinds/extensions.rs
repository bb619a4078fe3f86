//! `extensions.istio.io`.

use super::{Definition, Row, definition, typed};
use crate::model::{TrafficExtensionSpec, WasmPluginSpec};
use crate::resource::compile;
use crate::resource::{Kind, Object};
use crate::validate::{traffic_extension, wasm_plugin};

const VERSIONS: &[&str] = &["extensions.istio.io/v1alpha1"];
const CATEGORIES: &[&str] = &["istio-io", "extensions-istio-io"];

pub(super) const ROWS: &[Row] = &[
    typed!(
        WasmPlugin,
        WasmPluginSpec,
        wasm_plugin::check,
        VERSIONS,
        "wasmplugins",
        &WASM_PLUGIN
    ),
    typed!(
        TrafficExtension,
        TrafficExtensionSpec,
        traffic_extension::check,
        VERSIONS,
        "trafficextensions",
        &TRAFFIC_EXTENSION
    ),
];

static TRAFFIC_EXTENSION: Definition = definition!(TrafficExtensionSpec, &[], CATEGORIES, &[]);
static WASM_PLUGIN: Definition = definition!(WasmPluginSpec, &[], CATEGORIES, &[]);
