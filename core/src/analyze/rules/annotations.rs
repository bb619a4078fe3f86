//! Annotations that Istio does not know, that stand on the wrong object, that have a wrong value, or that are not settled (IST0107,
//! IST0108, IST0125, IST0135, IST0136).

use crate::analyze::annotations::{ALL, Annotation, Stage, is_istio, named};
use crate::analyze::context::Context;
use crate::analyze::pods::INJECT;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Resource};

pub(super) const KUBERNETES: Rule = Rule {
    name: "annotations.K8sAnalyzer",
    summary: "annotations of Istio are known, in their place and right",
    codes: &["IST0107", "IST0108", "IST0125", "IST0135"],
    check: |context, findings| {
        each(context, |resource, key, value, path| {
            check(resource, key, value, &path, findings);
        })
    },
};

pub(super) const ALPHA: Rule = Rule {
    name: "annotations.AlphaAnalyzer",
    summary: "annotations of Istio are settled; only by --analyzer",
    codes: &["IST0136"],
    check: |context, findings| {
        each(context, |resource, key, _, path| {
            if named(key).is_some_and(|annotation| annotation.stage == Stage::Alpha)
                && !is_ours(key)
            {
                findings.push(finding(
                    "IST0136",
                    Level::Info,
                    resource,
                    path,
                    format!("annotation {key:?} is not settled and may change"),
                ));
            }
        })
    },
};

/// Kinds whose annotations are looked at.
const KINDS: [Kind; 4] = [Kind::Namespace, Kind::Service, Kind::Pod, Kind::Deployment];

fn each(context: &Context<'_>, mut see: impl FnMut(&Resource, &str, &str, FieldPath)) {
    for kind in KINDS {
        for resource in context.snapshot.resources(kind) {
            for (key, value) in &resource.meta.annotations {
                if is_istio(key) {
                    let path = FieldPath::parse("metadata.annotations").key(key.as_str());
                    see(resource, key, value, path);
                }
            }
        }
    }
}

fn check(
    resource: &Resource,
    key: &str,
    value: &str,
    path: &FieldPath,
    findings: &mut Vec<Diagnostic>,
) {
    let mut add = |code, level, message, hint: Option<String>| {
        let mut found = finding(code, level, resource, path.clone(), message);
        found.hint = hint;
        findings.push(found);
    };
    let Some(annotation) = named(key) else {
        let similar = similar(key).map(|name| format!("did you mean {name}?"));
        let message = format!("annotation {key} is not known");
        add("IST0108", Level::Warning, message, similar);
        return;
    };
    if annotation.stage == Stage::Deprecated {
        // With the label of the same name it is there for old versions.
        let is_replaced = key == INJECT && resource.meta.labels.contains_key(INJECT);
        if !is_replaced {
            let hint = (key == INJECT).then(|| format!("label the pods {INJECT} instead"));
            let message = format!("annotation {key} is deprecated");
            add("IST0135", Level::Info, message, hint);
        }
    }
    if annotation.kinds.contains(&"Any") {
        return;
    }
    let kind = resource.key.kind.name();
    if !annotation.kinds.contains(&kind) {
        let hint = (annotation.kinds == ["Pod"] && kind == "Deployment")
            .then(|| "move it to spec.template.metadata.annotations".to_owned());
        let message = format!(
            "annotation {key} is for {}, not for {kind}",
            annotation.kinds.join(", ")
        );
        add("IST0107", Level::Warning, message, hint);
        return;
    }
    if let Err(problem) = (annotation.check)(value) {
        let message = format!("annotation {key}: {problem}");
        add("IST0125", Level::Warning, message, None);
    }
}

/// The known annotation that was probably meant.
fn similar(name: &str) -> Option<&'static str> {
    const SIMILAR: f64 = 0.95;
    let near = |annotation: &&Annotation| strsim::jaro_winkler(annotation.name, name) >= SIMILAR;
    let best = ALL.iter().filter(near).max_by(|one, other| {
        let one = strsim::jaro_winkler(one.name, name);
        one.total_cmp(&strsim::jaro_winkler(other.name, name))
    });
    best.map(|annotation| annotation.name)
}

/// Annotations that tools write, about which nobody can do anything, and the one that silences analysis.
fn is_ours(key: &str) -> bool {
    key.starts_with("install.operator.istio.io/") || key == "galley.istio.io/analyze-suppress"
}
