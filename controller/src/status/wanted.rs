//! Objects whose whole status follows from the snapshot, such as those of the Gateway API: what is to be written so that it says what it should.
//! Pure.
//!
//! What others have written stays: conditions of other types, and the entries of other controllers in `parents` and `ancestors`.

use mesh_core::snapshot::WantedStatus;
use serde_json::{Map, Value, json};

use super::ledger::Observed;

/// Lists with an entry for each controller.
const SHARED: [&str; 2] = ["parents", "ancestors"];

/// The patch that gives an object its status; none if it needs none, or is newer than what is known. `now` is the time of conditions that
/// change.
pub fn patch(observed: &Observed, wanted: &WantedStatus, now: &str) -> Option<Value> {
    if wanted.generation < observed.generation {
        return None;
    }
    let before = &observed.status;
    let mut fields = wanted.fields.clone();
    stamp(&mut fields, before, now);
    let fields = fields.as_object_mut()?;
    keep_others(fields, before);
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    let same = fields
        .iter()
        .all(|(key, value)| before[key] == *value || (before[key].is_null() && is_empty(value)));
    if same {
        return None;
    }
    Some(json!({
        // The object must not have changed meanwhile: another version may deserve another status.
        "metadata": { "resourceVersion": observed.version },
        "status": fields,
    }))
}

/// Gives conditions the time since when they hold.
fn stamp(wanted: &mut Value, before: &Value, now: &str) {
    match wanted {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "conditions" {
                    stamp_conditions(value, &before[key.as_str()], now);
                } else {
                    stamp(value, &before[key.as_str()], now);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let known = before.as_array().into_iter().flatten();
                let mut same = known.filter(|known| is_same(item, known));
                let same = same.next().cloned().unwrap_or_default();
                stamp(item, &same, now);
            }
        }
        _ => {}
    }
}

fn stamp_conditions(wanted: &mut Value, before: &Value, now: &str) {
    let known = before.as_array().map_or(&[][..], Vec::as_slice);
    for condition in wanted.as_array_mut().into_iter().flatten() {
        let mut same = known.iter().filter(|known| {
            known["type"] == condition["type"] && known["status"] == condition["status"]
        });
        let since = same.find_map(|known| known["lastTransitionTime"].as_str());
        condition["lastTransitionTime"] = since.unwrap_or(now).into();
    }
}

/// Whether two items of a list are about the same.
fn is_same(one: &Value, other: &Value) -> bool {
    ["name", "parentRef", "ancestorRef", "controllerName"]
        .iter()
        .all(|key| one[key] == other[key])
}

/// Keeps what others have written.
fn keep_others(fields: &mut Map<String, Value>, before: &Value) {
    for (key, value) in fields {
        let Some(own) = value.as_array_mut() else {
            continue;
        };
        let before = before[key.as_str()].as_array().into_iter().flatten();
        let is_shared = SHARED.contains(&key.as_str());
        let others = before.filter(|known| {
            if is_shared {
                known["controllerName"] != "istio.io/gateway-controller"
            } else {
                key == "conditions" && !own.iter().any(|own| own["type"] == known["type"])
            }
        });
        let others: Vec<Value> = others.cloned().collect();
        own.splice(0..0, others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(generation: i64, status: Value) -> Observed {
        Observed {
            version: "5".to_owned(),
            generation,
            status,
            ..Observed::default()
        }
    }

    fn wanted(accepted: &str) -> WantedStatus {
        WantedStatus {
            generation: 2,
            fields: json!({
                "parents": [{"parentRef": {"name": "g"}, "controllerName": "istio.io/gateway-controller",
                    "conditions": [{"type": "Accepted", "status": accepted}]}],
                "addresses": [],
            }),
        }
    }

    #[test]
    fn a_status_is_written_once_and_entries_of_others_stay() {
        let other =
            json!({"parentRef": {"name": "g"}, "controllerName": "other", "conditions": []});
        let first = observed(2, json!({"parents": [other]}));
        let written = patch(&first, &wanted("True"), "t1").unwrap()["status"].clone();
        assert_eq!(written["parents"][0], other);
        let condition = &written["parents"][1]["conditions"][0];
        assert_eq!(condition["lastTransitionTime"], "t1");
        assert_eq!(
            patch(&observed(2, written.clone()), &wanted("True"), "t2"),
            None
        );
        let changed = patch(&observed(2, written), &wanted("False"), "t2").unwrap();
        let condition = &changed["status"]["parents"][1]["conditions"][0];
        assert_eq!(condition["lastTransitionTime"], "t2");
    }

    #[test]
    fn nothing_is_said_of_a_newer_object() {
        assert_eq!(patch(&observed(3, Value::Null), &wanted("True"), "t"), None);
    }

    #[test]
    fn conditions_of_other_types_stay() {
        let status = json!({"conditions": [{"type": "Other", "status": "True"},
            {"type": "Accepted", "status": "Unknown", "lastTransitionTime": "1970-01-01T00:00:00Z"}]});
        let fields = json!({"conditions": [{"type": "Accepted", "status": "True"}]});
        let wanted = WantedStatus {
            generation: 1,
            fields,
        };
        let patch = patch(&observed(1, status), &wanted, "t").unwrap();
        let expected = json!([{"type": "Other", "status": "True"},
            {"type": "Accepted", "status": "True", "lastTransitionTime": "t"}]);
        assert_eq!(patch["status"]["conditions"], expected);
    }
}
