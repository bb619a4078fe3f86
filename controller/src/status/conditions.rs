//! The status that an object should have. Pure.
//!
//! | type | `False` for the reason |
//! | --- | --- |
//! | `Accepted` | `Invalid`: a part of the object is refused |
//! | `Reconciled` | `Invalid`, `PartlyInvalid`, `RefusedByProxy`, `NoEffect` |

use mesh_core::analyze::Code;
use mesh_core::diag::{Diagnostic, Level, NO_EFFECT};
use serde_json::{Value, json};

use super::ledger::Observed;

/// Longest message of a condition, in bytes.
const LONGEST: usize = 1024;

/// Types of the conditions that are ours.
const ACCEPTED: &str = "Accepted";
const RECONCILED: &str = "Reconciled";

/// One condition, apart from its time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    type_: &'static str,
    /// Why not; none if it is true.
    not: Option<(&'static str, String)>,
}

/// The patch that gives an object its status; none if it needs none. `refusals` are what proxies say about it, `now` is the time of
/// conditions that change.
pub fn patch(observed: &Observed, refusals: &[String], now: &str) -> Option<Value> {
    let conditions = [accepted(observed), reconciled(observed, refusals)];
    let before = observed.status["conditions"].as_array();
    let before = before.map_or(&[][..], Vec::as_slice);
    let ours = |condition: &Value| {
        [ACCEPTED, RECONCILED]
            .iter()
            .any(|type_| condition["type"] == *type_)
    };
    let is_silent = conditions.iter().all(|condition| condition.not.is_none());
    if is_silent && !before.iter().any(ours) {
        return None;
    }
    let messages = messages(&observed.findings);
    let shown: Vec<Value> = conditions
        .iter()
        .map(|condition| condition.show(observed.generation, before, now))
        .collect();
    let same = shown.iter().all(|condition| before.contains(condition))
        && observed.status["observedGeneration"] == observed.generation
        && list(&observed.status["validationMessages"]) == list(&messages);
    if same {
        return None;
    }
    let others = before.iter().filter(|condition| !ours(condition)).cloned();
    let all: Vec<Value> = others.chain(shown).collect();
    Some(json!({
        // The object must not have changed meanwhile: another version may deserve another status.
        "metadata": { "resourceVersion": observed.version },
        "status": { "observedGeneration": observed.generation, "conditions": all, "validationMessages": messages },
    }))
}

fn accepted(observed: &Observed) -> Condition {
    let errors = of_level(&observed.findings, Level::Error);
    Condition {
        type_: ACCEPTED,
        not: errors.map(|message| ("Invalid", message)),
    }
}

fn reconciled(observed: &Observed, refusals: &[String]) -> Condition {
    let findings = &observed.findings;
    let refused =
        || (!refusals.is_empty()).then(|| ("RefusedByProxy", joined(refusals.iter().cloned())));
    let not = if observed.malformed {
        let message = "nothing of it can be used; the last good version stays, if there was one";
        Some(("Invalid", message.to_owned()))
    } else if let Some(refused) = refused() {
        Some(refused)
    } else if findings.iter().any(|finding| finding.level == Level::Error) {
        let message = "the parts with errors are left out; the others are in force";
        Some(("PartlyInvalid", message.to_owned()))
    } else {
        let idle = findings.iter().filter(|finding| finding.code == NO_EFFECT);
        let idle: Vec<String> = idle.map(|finding| finding.message.clone()).collect();
        (!idle.is_empty()).then(|| ("NoEffect", joined(idle)))
    };
    Condition {
        type_: RECONCILED,
        not,
    }
}

fn of_level(findings: &[Diagnostic], level: Level) -> Option<String> {
    let found = findings.iter().filter(|finding| finding.level == level);
    let messages: Vec<String> = found.map(|finding| finding.message.clone()).collect();
    (!messages.is_empty()).then(|| joined(messages))
}

/// Sentences in one text that is not too long.
fn joined(sentences: impl IntoIterator<Item = String>) -> String {
    let mut text = sentences.into_iter().collect::<Vec<_>>().join("; ");
    if text.len() > LONGEST {
        let end = (0..=LONGEST - 4)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push_str(" ...");
    }
    text
}

/// The findings in the form of Istio's `validationMessages`.
fn messages(findings: &[Diagnostic]) -> Value {
    let message = |finding: &Diagnostic| {
        json!({
            "type": { "code": finding.code },
            "level": finding.level.to_string().to_uppercase(),
            "documentationUrl": Code::documentation_url(finding.code),
        })
    };
    let mut all: Vec<Value> = findings.iter().map(message).collect();
    all.dedup();
    Value::Array(all)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

// === impl Condition ===

impl Condition {
    fn show(&self, generation: i64, before: &[Value], now: &str) -> Value {
        let status = if self.not.is_none() { "True" } else { "False" };
        let (reason, message) = match &self.not {
            None => (self.type_, ""),
            Some((reason, message)) => (*reason, message.as_str()),
        };
        let old = before.iter().find(|old| old["type"] == self.type_);
        let since = old
            .filter(|old| old["status"] == status)
            .and_then(|old| old["lastTransitionTime"].as_str());
        json!({
            "type": self.type_,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": since.unwrap_or(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::diag::FieldPath;
    use mesh_core::source::Origin;

    use super::*;

    fn finding(code: &'static str, level: Level, message: &str) -> Diagnostic {
        Diagnostic {
            code,
            level,
            resource: None,
            origin: Origin::Builtin,
            path: FieldPath::root(),
            message: message.to_owned(),
            hint: None,
        }
    }

    fn observed(findings: Vec<Diagnostic>) -> Observed {
        Observed {
            version: "5".to_owned(),
            generation: 2,
            findings,
            ..Observed::default()
        }
    }

    /// Reasons of the conditions that are written, `True` ones with their type.
    #[track_caller]
    fn check(observed: &Observed, refusals: &[String], expected: [&str; 2]) -> Observed {
        let patch = patch(observed, refusals, "t1").unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "5");
        let conditions = patch["status"]["conditions"].as_array().unwrap();
        let found: Vec<&str> = conditions
            .iter()
            .map(|one| one["reason"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected);
        Observed {
            status: patch["status"].clone(),
            ..observed.clone()
        }
    }

    #[test]
    fn objects_without_trouble_are_left_alone() {
        assert_eq!(patch(&observed(Vec::new()), &[], "t"), None);
        let hint = finding("IST0001", Level::Info, "nice to know");
        assert_eq!(patch(&observed(vec![hint]), &[], "t"), None);
    }

    #[test]
    fn every_kind_of_trouble_has_a_reason_and_is_written_once() {
        let error = finding("IST0106", Level::Error, "spec.hosts: at least one");
        let idle = finding(NO_EFFECT, Level::Warning, "Sidecar has no effect yet");
        let partly = observed(vec![error.clone()]);
        let malformed = Observed {
            malformed: true,
            ..observed(vec![error])
        };
        let refusal = ["proxy web.default refuses cluster c: bad".to_owned()];
        for (observed, refusals, expected) in [
            (partly, &[][..], ["Invalid", "PartlyInvalid"]),
            (malformed, &[], ["Invalid", "Invalid"]),
            (observed(vec![idle]), &[], ["Accepted", "NoEffect"]),
            (
                observed(Vec::new()),
                &refusal,
                ["Accepted", "RefusedByProxy"],
            ),
        ] {
            let written = check(&observed, refusals, expected);
            assert_eq!(patch(&written, refusals, "t2"), None);
        }
    }

    #[test]
    fn recovery_is_told_and_conditions_of_others_stay() {
        let status = json!({"conditions": [
            {"type": "Other", "status": "True"},
            {"type": "Accepted", "status": "False", "reason": "Invalid", "lastTransitionTime": "t0"},
            {"type": "Reconciled", "status": "True", "reason": "Reconciled", "lastTransitionTime": "t0"}]});
        let healed = Observed {
            status,
            ..observed(Vec::new())
        };
        let written = check_all(&healed);
        assert_eq!(written[0]["type"], "Other");
        assert_eq!(
            (&written[1]["status"], &written[1]["lastTransitionTime"]),
            (&json!("True"), &json!("t1"))
        );
        assert_eq!(written[2]["lastTransitionTime"], "t0");
    }

    fn check_all(observed: &Observed) -> Vec<Value> {
        let patch = patch(observed, &[], "t1").unwrap();
        patch["status"]["conditions"].as_array().unwrap().clone()
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let text = joined(["ä".repeat(LONGEST)]);
        assert!(
            text.len() <= LONGEST && text.ends_with("ä ..."),
            "{}",
            text.len()
        );
    }
}
