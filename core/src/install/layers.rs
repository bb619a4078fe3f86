//! The layers of values: the profile, then files in their order, then each `--set`. Every layer is checked by itself, so that an
//! error says where it comes from; all errors are told at once.

use serde_json::{Map, Value, json};

use super::keys::Keys;
use super::merge::{merge, prune_null, remove_all};
use super::profile::Profile;
use super::revision::check_revision;
use super::set::Assignment;
use super::settings::Settings;
use super::spec::InstallSpec;
use crate::diag::{FieldPath, Level, Segment};
use crate::model::MeshConfig;
use crate::resource::check_mesh_config;
use crate::source::{Document, Part, parse_whole};

/// Most keys of one document that are told.
const MOST_TOLD: usize = 100;

/// Keys of a values file of the Helm charts, which are below `values` otherwise.
const OF_CHARTS: [&str; 4] = ["global", "pilot", "gateways", "sidecarInjectorWebhook"];

/// What is to be installed.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// Name of the profile; `default` when nothing says otherwise.
    pub profile: Option<&'a str>,
    /// Files of values, later ones over earlier ones.
    pub files: &'a [ValuesFile],
    /// `PATH=VALUE`, later ones over earlier ones and files.
    pub sets: &'a [String],
    /// Namespace of the control plane, when it is not what the values say.
    pub namespace: Option<&'a str>,
    /// Name of the control plane among several, when it is not what the values say.
    pub revision: Option<&'a str>,
}

/// A file of values: an `IstioOperator`, or its `spec` alone, or values of the Helm charts.
#[derive(Clone, Debug)]
pub struct ValuesFile {
    /// Name for messages.
    pub name: String,
    /// YAML or JSON.
    pub text: String,
}

/// What is wrong with values, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct ValuesError {
    /// `--set values.global.hub` or `values.yaml:3:5`.
    pub origin: String,
    /// What is wrong.
    pub message: String,
}

/// All layers, one over the other.
struct Layers {
    keys: Keys,
    merged: Value,
    warnings: Vec<String>,
    errors: Vec<ValuesError>,
}

/// Reads the values of a request, and decides what is left open.
pub(super) fn settings(
    request: &Request<'_>,
) -> Result<(Settings, Profile, Vec<String>), Vec<ValuesError>> {
    let (mut layers, profile) = read_all(request)?;
    match layers.decide() {
        Some(settings) => Ok((settings, profile, layers.warnings)),
        None => Err(layers.errors),
    }
}

/// All values of a request as one `IstioOperator`, with what the user should know.
///
/// # Errors
/// All that is wrong with the values.
pub fn values(request: &Request<'_>) -> Result<(Value, Vec<String>), Vec<ValuesError>> {
    let (mut layers, profile) = read_all(request)?;
    if layers.decide().is_none() {
        return Err(layers.errors);
    }
    let mut spec = layers.merged;
    if let Some(spec) = spec.as_object_mut() {
        // Values count over a profile, and these are meant for this one.
        spec.shift_insert(0, "profile".to_owned(), profile.name().into());
    }
    let operator = json!({
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "spec": spec,
    });
    Ok((operator, layers.warnings))
}

fn read_all(request: &Request<'_>) -> Result<(Layers, Profile), Vec<ValuesError>> {
    let mut layers = Layers {
        keys: Keys::new(),
        merged: Value::Null,
        warnings: Vec::new(),
        errors: Vec::new(),
    };
    let sets = layers.read_sets(request);
    let files = layers.read_files(request);
    let Some(profile) = layers.profile(request, &sets, &files) else {
        return Err(layers.errors);
    };
    layers.merged = parse_whole(profile.name(), profile.text())
        .0
        .first()
        .map_or(Value::Null, |document| document.value["spec"].clone());
    for file in files {
        merge(&mut layers.merged, file);
    }
    for (text, assignment) in &sets {
        layers.set(text, assignment);
    }
    if !layers.errors.is_empty() {
        return Err(layers.errors);
    }
    Ok((layers, profile))
}

// === impl Layers ===

impl Layers {
    fn error(&mut self, origin: impl Into<String>, message: impl Into<String>) {
        self.errors.push(ValuesError {
            origin: origin.into(),
            message: message.into(),
        });
    }

    fn read_sets(&mut self, request: &Request<'_>) -> Vec<(String, Assignment)> {
        let mut sets = Vec::new();
        let namespace = request.namespace;
        let namespace = namespace.map(|name| format!("values.global.istioNamespace={name}"));
        let revision = request.revision.map(|name| format!("revision={name}"));
        for text in request.sets.iter().chain(&namespace).chain(&revision) {
            match Assignment::read(text) {
                Ok(assignment) => sets.push((text.clone(), assignment)),
                Err(message) => self.error(format!("--set {text}"), message),
            }
        }
        sets
    }

    /// The files' values as values of one `spec`, without what has no effect.
    fn read_files(&mut self, request: &Request<'_>) -> Vec<Value> {
        let mut files = Vec::new();
        for file in request.files {
            let (documents, broken) = parse_whole(&file.name, &file.text);
            for found in broken {
                self.error(&file.name, found.message);
            }
            for document in &documents {
                if !document.value.is_null() {
                    files.extend(self.read_document(&file.name, document));
                }
            }
        }
        files
    }

    fn read_document(&mut self, name: &str, document: &Document) -> Option<Value> {
        let at = |path: &FieldPath, part| {
            let span = document.locate(path, part);
            format!("{name}:{}:{}", span.line, span.column)
        };
        let kind = document.value["kind"].as_str();
        let (mut spec, place) = match kind {
            Some("IstioOperator") => (document.value["spec"].clone(), Place::Spec),
            Some(kind) => {
                let message = format!("{kind} is no IstioOperator and no values");
                self.error(at(&FieldPath::parse("kind"), Part::Value), message);
                return None;
            }
            None => (gather(&document.value), Place::Root),
        };
        if spec.is_null() {
            spec = json!({});
        }
        if !spec.is_object() {
            let message = "expected a mapping of values";
            self.error(at(&FieldPath::root(), Part::Value), message);
            return None;
        }
        let (wrong, without_effect) = self.keys.check(&spec);
        // Told once; the types need not tell it again.
        remove_all(&mut spec, wrong.iter().map(|wrong| &wrong.path));
        for wrong in wrong.iter().take(MOST_TOLD) {
            let message = format!("{}: {}", wrong.path, wrong.message);
            self.error(at(&place.written(&wrong.path), Part::Key), message);
        }
        if let Some(more) = wrong.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            self.error(name, format!("{more} more keys are wrong"));
        }
        let removed = without_effect.iter().filter(|path| !is_of_mesh(path));
        remove_all(&mut spec, removed);
        for path in without_effect.iter().take(MOST_TOLD) {
            self.without_effect(&at(&place.written(path), Part::Key), path);
        }
        let more = without_effect.len().checked_sub(MOST_TOLD);
        if let Some(more) = more.filter(|more| *more > 0) {
            let text = format!("{name}: {more} more keys have no effect in this version");
            self.warnings.push(text);
        }
        if let Err((path, message)) = typed(&spec) {
            let message = format!("{path}: {message}");
            self.error(at(&place.written(&path), Part::Value), message);
        }
        Some(spec)
    }

    fn without_effect(&mut self, origin: &str, path: &FieldPath) {
        let text = format!("{origin}: {path} has no effect in this version");
        self.warnings.push(text);
    }

    fn profile(
        &mut self,
        request: &Request<'_>,
        sets: &[(String, Assignment)],
        files: &[Value],
    ) -> Option<Profile> {
        let of_set = sets.iter().rev().find_map(|(text, assignment)| {
            let name = text.strip_prefix("profile=");
            name.filter(|_| assignment.path.0.len() == 1)
        });
        let of_file = || files.iter().rev().find_map(|file| file["profile"].as_str());
        let name = of_set
            .or(request.profile)
            .or_else(of_file)
            .unwrap_or("default");
        let found = Profile::find(name);
        if found.is_none() {
            let names = Profile::ALL.map(Profile::name).join(", ");
            let message = format!("there is no profile {name:?}; there are {names}");
            self.error("profile", message);
        }
        found
    }

    fn set(&mut self, text: &str, assignment: &Assignment) {
        let path = &assignment.path;
        let origin = format!("--set {text}");
        let shape = match self.keys.at(path) {
            Ok(shape) => shape,
            Err(wrong) => return self.error(origin, format!("{}: {}", wrong.path, wrong.message)),
        };
        let without_effect = super::without_effect::is_without_effect(path);
        if without_effect {
            self.without_effect(&origin, path);
            if !is_of_mesh(path) {
                return;
            }
        }
        let mut changed = self.merged.clone();
        let value = assignment.value(shape);
        if let Err(message) = assignment.apply(value, &mut changed) {
            return self.error(origin, format!("{path}: {message}"));
        }
        prune_null(&mut changed);
        match typed(&changed) {
            Ok(_) => self.merged = changed,
            Err((path, message)) => self.error(origin, format!("{path}: {message}")),
        }
    }

    fn decide(&mut self) -> Option<Settings> {
        let (spec, _) = match typed(&self.merged) {
            Ok(typed) => typed,
            Err((path, message)) => {
                self.error("values", format!("{path}: {message}"));
                return None;
            }
        };
        for (key, given) in [
            ("revision", &spec.revision),
            ("values.revision", &spec.values.revision),
        ] {
            let wrong = given.as_deref().filter(|given| !given.is_empty());
            if let Some(Err(message)) = wrong.map(check_revision) {
                self.error(key, message);
                return None;
            }
        }
        let mut mesh = Value::Object(spec.values.mesh_config.clone());
        merge(&mut mesh, Value::Object(spec.mesh_config.clone()));
        let typed: MeshConfig = serde_json::from_value(mesh.clone()).ok()?;
        let mut is_valid = true;
        for found in check_mesh_config(&mesh) {
            if found.level == Level::Error {
                is_valid = false;
                self.error("meshConfig", format!("{}: {}", found.path, found.message));
            }
        }
        if !is_valid {
            return None;
        }
        let mesh = mesh.as_object().cloned().unwrap_or_default();
        Some(Settings::decide(&spec, mesh, typed))
    }
}

/// Where the values of a file are in it.
#[derive(Clone, Copy)]
enum Place {
    /// Below `spec`.
    Spec,
    /// At the top, where charts' values are too.
    Root,
}

// === impl Place ===

impl Place {
    /// The path of a value as it is written in the file.
    fn written(self, path: &FieldPath) -> FieldPath {
        let mut segments = path.0.clone();
        match self {
            Self::Spec => segments.insert(0, Segment::Key("spec".into())),
            Self::Root => {
                let is = |position: usize, names: &[&str]| {
                    let key = path.0.get(position);
                    matches!(key, Some(Segment::Key(key)) if names.contains(&&**key))
                };
                if is(0, &["values"]) && is(1, &OF_CHARTS) {
                    segments.remove(0);
                }
            }
        }
        FieldPath(segments)
    }
}

/// Puts the charts' values of a file below `values`.
fn gather(value: &Value) -> Value {
    let Some(map) = value.as_object() else {
        return value.clone();
    };
    let mut gathered = Map::new();
    let mut of_charts = map.get("values").cloned().unwrap_or_else(|| json!({}));
    for (key, value) in map {
        if OF_CHARTS.contains(&key.as_str()) {
            merge(&mut of_charts, json!({ key.as_str(): value }));
        } else if key != "values" {
            gathered.insert(key.clone(), value.clone());
        }
    }
    if of_charts != json!({}) {
        gathered.insert("values".into(), of_charts);
    }
    Value::Object(gathered)
}

/// The values as types, or where they are of the wrong type. The mesh's settings are checked with them.
fn typed(value: &Value) -> Result<(InstallSpec, [MeshConfig; 2]), (FieldPath, String)> {
    let spec: InstallSpec = read(value, "")?;
    let mesh = |map: &Map<String, Value>, at| read(&Value::Object(map.clone()), at);
    let both = [
        mesh(&spec.mesh_config, "meshConfig.")?,
        mesh(&spec.values.mesh_config, "values.meshConfig.")?,
    ];
    Ok((spec, both))
}

fn read<T: serde::de::DeserializeOwned>(value: &Value, at: &str) -> Result<T, (FieldPath, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = FieldPath::parse(&format!("{at}{}", error.path()));
        (path, error.into_inner().to_string())
    })
}

/// Whether a path is one of the mesh's settings, which are kept whole.
fn is_of_mesh(path: &FieldPath) -> bool {
    let text = path.to_string();
    text.starts_with("meshConfig.") || text.starts_with("values.meshConfig.")
}
