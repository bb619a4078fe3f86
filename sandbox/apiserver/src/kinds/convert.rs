//! Conversions between versions whose forms differ.

use serde_json::{Map, Value, json};

/// How objects of one version become objects of the stored version, and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Only `apiVersion` differs.
    None,
    /// Deployments and their like of old: without a selector, that of the template's labels is meant.
    Workload,
    /// Events of `events.k8s.io`, stored as those of the core group.
    Event,
    /// `autoscaling/v1`, which knows only a target for CPU.
    Autoscaler,
}

/// Fields of an event: in `events.k8s.io`, and in the core group.
const EVENT: [(&str, &str); 8] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingInstance", "reportingInstance"),
];

// === impl Conversion ===

impl Conversion {
    /// To the stored form.
    pub fn decode(self, object: &mut Value) {
        match self {
            Self::None => {}
            Self::Workload => {
                if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                    default_selector(spec);
                    spec.shift_remove("rollbackTo");
                }
            }
            Self::Event => rename(object, EVENT),
            Self::Autoscaler => {
                let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
                    return;
                };
                if let Some(target) = spec.shift_remove("targetCPUUtilizationPercentage") {
                    let target = json!({"type": "Utilization", "averageUtilization": target});
                    spec.insert(
                        "metrics".to_owned(),
                        json!([
                            {"type": "Resource", "resource": {"name": "cpu", "target": target}}
                        ]),
                    );
                }
            }
        }
    }

    /// From the stored form.
    pub fn encode(self, object: &mut Value) {
        match self {
            Self::None | Self::Workload => {}
            Self::Event => rename(object, EVENT.map(|(event, core)| (core, event))),
            Self::Autoscaler => {
                let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
                    return;
                };
                let metrics = spec.shift_remove("metrics").unwrap_or_default();
                let target = &metrics[0]["resource"]["target"]["averageUtilization"];
                if !target.is_null() {
                    spec.insert("targetCPUUtilizationPercentage".to_owned(), target.clone());
                }
            }
        }
    }
}

fn default_selector(spec: &mut Map<String, Value>) {
    if spec
        .get("selector")
        .is_some_and(|selector| !selector.is_null())
    {
        return;
    }
    let labels = spec
        .get("template")
        .and_then(|template| template.pointer("/metadata/labels"))
        .filter(|labels| labels.as_object().is_some_and(|labels| !labels.is_empty()))
        .cloned();
    if let Some(labels) = labels {
        spec.insert("selector".to_owned(), json!({"matchLabels": labels}));
    }
}

fn rename<'a>(object: &mut Value, fields: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    for (from, to) in fields {
        if let Some(value) = object.shift_remove(from) {
            object.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_deployments_select_their_own_labels() {
        let mut old = json!({"spec": {"template": {"metadata": {"labels": {"app": "website"}}}}});
        Conversion::Workload.decode(&mut old);
        assert_eq!(
            old["spec"]["selector"],
            json!({"matchLabels": {"app": "website"}})
        );
    }

    #[test]
    fn events_have_two_faces() {
        let mut event = json!({"note": "n", "regarding": {"kind": "Pod"}, "reason": "r"});
        let before = event.clone();
        Conversion::Event.decode(&mut event);
        assert_eq!(event["message"], "n");
        assert_eq!(event["involvedObject"]["kind"], "Pod");
        Conversion::Event.encode(&mut event);
        assert_eq!(event, before);
    }
}
