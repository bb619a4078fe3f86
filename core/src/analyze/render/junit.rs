//! Findings as a report of tests in JUnit's XML, in which each object with findings is a test that failed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Located, line};
use crate::diag::Level;
use crate::xml::escaped;

/// A report in which the findings of an object are one test case. Findings below `fails` are told and fail no test. Without findings
/// the report has one test that passed.
pub fn junit(findings: &[Located<'_>], fails: Level) -> String {
    let mut objects: BTreeMap<String, Vec<&Located<'_>>> = BTreeMap::new();
    for located in findings {
        let (found, span) = located;
        let name = match (&found.resource, span) {
            (Some(object), _) => object.to_string(),
            (None, Some(span)) => span.file.to_string(),
            (None, None) => "analysis".to_owned(),
        };
        objects.entry(name).or_default().push(located);
    }
    let has_failed = |of: &[&Located<'_>]| of.iter().any(|(found, _)| found.level >= fails);
    let failures = objects.values().filter(|of| has_failed(of)).count();
    let tests = objects.len().max(1);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut write = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    write(format!(
        "<testsuites tests=\"{tests}\" failures=\"{failures}\">"
    ));
    write(format!(
        "  <testsuite name=\"meshctl analyze\" tests=\"{tests}\" failures=\"{failures}\">"
    ));
    if objects.is_empty() {
        write("    <testcase classname=\"analyze\" name=\"no findings\"/>".to_owned());
    }
    for (name, of) in &objects {
        write(format!(
            "    <testcase classname=\"analyze\" name=\"{}\">",
            escaped(name)
        ));
        for (found, span) in of {
            let full = line(found, span.as_ref());
            if found.level >= fails {
                write(format!(
                    "      <failure type=\"{}\" message=\"{}\">{}</failure>",
                    found.code,
                    escaped(&found.message),
                    escaped(&full)
                ));
            } else {
                write(format!("      <system-out>{}</system-out>", escaped(&full)));
            }
        }
        write("    </testcase>".to_owned());
    }
    write("  </testsuite>".to_owned());
    write("</testsuites>".to_owned());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_findings_are_a_test_that_passed() {
        let report = junit(&[], Level::Error);
        assert!(report.contains("tests=\"1\" failures=\"0\""), "{report}");
    }
}
