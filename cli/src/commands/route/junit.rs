//! Results in JUnit's XML, as CI systems read it.

use mesh_core::xml::escaped;

use super::test::Outcome;

/// The document.
pub fn render(suites: &[(String, Vec<Outcome>)]) -> String {
    let count = |outcomes: &[Outcome]| {
        let failed = outcomes.iter().filter(|outcome| !outcome.wrong.is_empty());
        (outcomes.len(), failed.count())
    };
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for (name, outcomes) in suites {
        let (tests, failures) = count(outcomes);
        let name = escaped(name);
        text.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">\n"
        ));
        for outcome in outcomes {
            let case = escaped(&outcome.name);
            text.push_str(&format!(
                "    <testcase classname=\"{name}\" name=\"{case}\""
            ));
            if outcome.wrong.is_empty() {
                text.push_str("/>\n");
                continue;
            }
            let message = escaped(&outcome.wrong.join("; "));
            text.push_str(&format!(
                ">\n      <failure message=\"{message}\"/>\n    </testcase>\n"
            ));
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}
