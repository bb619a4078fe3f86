//! Kinds in files that the analysis does not know. Most are none of its business; a slip of the pen is.

use std::collections::BTreeMap;

use mesh_core::diag::FieldPath;
use mesh_core::resource::Kind;
use mesh_core::source::{Document, Part};

use crate::printer::Printer;

/// How alike names must be to be told as a slip of the pen.
const SIMILAR: f64 = 0.9;

/// Documents of kinds that are not known, by API version and kind.
#[derive(Default)]
pub struct Unknown(BTreeMap<(String, String), Vec<String>>);

// === impl Unknown ===

impl Unknown {
    /// Remembers a document.
    pub fn add(&mut self, document: &Document) {
        let field = |name: &str| document.value[name].as_str().unwrap_or_default().to_owned();
        let span = document.locate(&FieldPath::parse("kind"), Part::Value);
        let places = self
            .0
            .entry((field("apiVersion"), field("kind")))
            .or_default();
        places.push(format!("{}:{}", span.file, span.line));
    }

    /// Warns about kinds that are not known, where that matters.
    pub fn tell(&self, printer: &Printer) {
        for ((api_version, kind), places) in &self.0 {
            let place = places.first().map_or("", String::as_str);
            let more = match places.len() {
                0 | 1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let text =
                format!("{place}{more}: {api_version} {kind} is not known here and not analyzed");
            if let Some(known) = meant(api_version, kind) {
                printer.warn(&text);
                printer.hint(&format!(
                    "did you mean {} {}?",
                    known.api_version(),
                    known.name()
                ));
            } else if is_istio(api_version) {
                printer.warn(&text);
            } else {
                printer.detail(1, &text);
            }
        }
    }
}

/// The kind that was probably meant: one whose name is alike, or the same in a group that is alike.
fn meant(api_version: &str, kind: &str) -> Option<Kind> {
    let alike = |kind: &Kind, wanted: &str| strsim::jaro_winkler(kind.name(), wanted) >= SIMILAR;
    let group = |text: &str| {
        text.split_once('/')
            .map_or(String::new(), |(group, _)| group.to_owned())
    };
    let close = |known: &Kind| {
        let (known_group, wanted) = (group(known.api_version()), group(api_version));
        known_group == wanted || strsim::jaro_winkler(&known_group, &wanted) >= SIMILAR
    };
    // Beside Deployments there are DeploymentConfigs and others that nobody mistyped: only the same group counts, or the same
    // name in a group that is almost the same.
    let same_group = |known: &Kind| {
        group(known.api_version()) == group(api_version)
            && known.name().len().abs_diff(kind.len()) <= 2
    };
    let mistyped = Kind::all()
        .filter(same_group)
        .find(|known| alike(known, kind));
    mistyped.or_else(|| Kind::all().filter(close).find(|known| known.name() == kind))
}

fn is_istio(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    group == "istio.io" || group.ends_with(".istio.io")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_told_from_other_kinds() {
        for (api_version, kind, expected) in [
            (
                "networking.istio.io/v1",
                "VirtualServices",
                Some(Kind::VirtualService),
            ),
            (
                "networking.istio.io/v1",
                "Virtualservice",
                Some(Kind::VirtualService),
            ),
            (
                "networking.istio.oi/v1",
                "VirtualService",
                Some(Kind::VirtualService),
            ),
            ("v1", "Servce", Some(Kind::Service)),
            ("apps/v1", "Deploymnet", Some(Kind::Deployment)),
            ("v1", "ServiceAccount", Some(Kind::ServiceAccount)),
            ("rbac.authorization.k8s.io/v1", "Role", None),
            ("gateway.networking.k8s.io/v1", "InferencePool", None),
            ("serving.knative.dev/v1", "Service", None),
            ("v1", "PersistentVolumeClaim", None),
        ] {
            assert_eq!(meant(api_version, kind), expected, "{api_version} {kind}");
        }
    }
}
