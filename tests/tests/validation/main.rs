//! Our verdicts and those of Istio's own validation with the CRDs of Istio and the Gateway API are the same, but for the
//! differences that a table explains.
//!
//! `tests/validation/run` builds the judge and says by the environment where it is (`JUDGE`), which CRDs it takes (`DEFINITIONS`),
//! and where documents of others lie (`DOCUMENTS`); the lists are separated by colons. With `REPORT=FILE` all differences are
//! written there.

mod documents;
mod explained;
mod judge;
mod mutants;

use std::fmt::Write as _;
use std::path::PathBuf;

use documents::Document;
use explained::{EXPLAINED, Side};
use judge::Verdict;
use mesh_core::diag::Level;
use mesh_core::resource::decode_value;
use mesh_core::source::Origin;

/// Fewest documents that a comparison must have seen, so that it does not pass by seeing nothing.
const LEAST: (usize, usize) = (1000, 10_000);
/// Differences that are printed when the suite fails.
const SHOWN: usize = 60;

fn list(name: &str) -> Vec<String> {
    let text = std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the suite by tests/run validation"));
    text.split(':').map(str::to_owned).collect()
}

/// The errors of our own validator, each with its path.
fn errors(document: &Document) -> Vec<(String, String)> {
    let (resource, mut found) = decode_value(document.object.clone(), Origin::Builtin, None);
    found.extend(resource.into_iter().flat_map(|resource| resource.findings));
    found.retain(|found| found.level == Level::Error);
    found
        .into_iter()
        .map(|found| (found.path.to_string(), found.message))
        .collect()
}

#[test]
fn our_verdicts_are_those_of_istio_and_the_gateway_api() {
    let judge = list("JUDGE").remove(0);
    let definitions = list("DEFINITIONS");
    let modules: Vec<PathBuf> = list("DOCUMENTS").into_iter().map(PathBuf::from).collect();
    let mut all = documents::all(&modules);
    let written = all.len();
    all.extend(mutants::of(&all));
    let verdicts = judge::ask(&judge, &definitions, &all);
    let mut used = vec![0; EXPLAINED.len()];
    let mut differences = Vec::new();
    let mut compared = (0, 0);
    for (position, (document, verdict)) in all.iter().zip(&verdicts).enumerate() {
        if !verdict.known {
            continue;
        }
        if position < written {
            compared.0 += 1;
        } else {
            compared.1 += 1;
        }
        let Some(difference) = differ(document, verdict) else {
            continue;
        };
        match explained::find(&difference) {
            Some(row) => used[row] += 1,
            None => differences.push(difference),
        }
    }
    if let Ok(file) = std::env::var("REPORT") {
        let lines: String = differences.iter().map(Difference::line).collect();
        std::fs::write(file, lines).unwrap();
    }
    let stale: Vec<&str> = EXPLAINED
        .iter()
        .zip(&used)
        .filter(|(_, used)| **used == 0)
        .map(|(row, _)| row.why)
        .collect();
    println!(
        "{} documents and {} changes of them were judged; {} differences are explained",
        compared.0,
        compared.1,
        used.iter().sum::<usize>()
    );
    let shown: String = differences
        .iter()
        .take(SHOWN)
        .map(Difference::line)
        .collect();
    assert!(
        differences.is_empty(),
        "{} differences that nothing explains:\n{shown}",
        differences.len()
    );
    assert!(
        stale.is_empty(),
        "explanations of what does not differ any more: {stale:#?}"
    );
    assert!(
        compared.0 >= LEAST.0 && compared.1 >= LEAST.1,
        "only {compared:?} were judged"
    );
}

/// A document that one side refuses and the other does not.
pub struct Difference {
    side: Side,
    document: Document,
    /// What the side that refuses says: paths and messages of ours, or the judge's reason.
    reason: String,
}

impl Difference {
    fn line(&self) -> String {
        let mut line = String::new();
        let kind = self.document.object["kind"].as_str().unwrap_or_default();
        let _ = writeln!(
            line,
            "{:?} {kind}: {} => {}",
            self.side, self.document.name, self.reason
        );
        line
    }
}

fn differ(document: &Document, verdict: &Verdict) -> Option<Difference> {
    let ours = errors(document);
    let (side, reason) = match (ours.is_empty(), verdict.refuses()) {
        (true, true) => (Side::Laxer, verdict.reason()),
        (false, false) => {
            let all: Vec<String> = ours.into_iter().map(|(_, message)| message).collect();
            (Side::Stricter, all.join(" | "))
        }
        _ => return None,
    };
    Some(Difference {
        side,
        document: document.clone(),
        reason,
    })
}
