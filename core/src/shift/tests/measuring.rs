//! What proxies counted, judged against a plan.

use super::{ALL_V1, HOST, planned, target, world};
use crate::shift::{
    Counters, Errors, Expectation, Judgement, Section, Tally, Verdict, WeightRequest,
    compare_errors, judge,
};

/// A scrape in which each version has so many good and bad requests.
fn scrape(counts: &[(&str, u64, u64)]) -> Counters {
    let mut text = String::new();
    for (workload, good, bad) in counts {
        for (code, count) in [(200, good), (503, bad)] {
            text.push_str(&format!(
                "istio_requests_total{{reporter=\"source\",destination_service=\"{HOST}\",destination_workload=\"{workload}\",destination_workload_namespace=\"default\",response_code=\"{code}\"}} {count}\n"
            ));
        }
    }
    Counters::parse(&text, &[HOST.into()], Section::Http)
}

fn judged(counts: &[(&str, u64, u64)]) -> Judgement {
    let world = world(ALL_V1);
    let ask = WeightRequest::parse(&["v3=50"]).unwrap();
    let plan = planned(&world, &["v3=50"]);
    let expectation = Expectation::new(&target(&world), &ask, &plan);
    assert_eq!(expectation.alike(), []);
    let mut tally = Tally::default();
    tally.add(&Counters::default(), &scrape(counts));
    judge(&expectation, &expectation.measure(&tally))
}

#[test]
fn counts_are_judged_against_what_was_asked() {
    for (counts, verdict) in [
        (
            &[("reviews-v1", 51, 0), ("reviews-v3", 49, 0)][..],
            Verdict::Consistent,
        ),
        (
            &[("reviews-v1", 5, 0), ("reviews-v3", 5, 0)],
            Verdict::TooFew,
        ),
        // Improbable, but chance is not ruled out.
        (
            &[("reviews-v1", 65, 0), ("reviews-v3", 35, 0)],
            Verdict::TooFew,
        ),
        (
            &[("reviews-v1", 90, 0), ("reviews-v3", 10, 0)],
            Verdict::Deviates,
        ),
        (&[("unknown", 0, 8)], Verdict::NotMeasured),
        (&[("reviews-v2", 8, 0)], Verdict::NotMeasured),
    ] {
        assert_eq!(judged(counts).verdict, verdict, "{counts:?}");
    }
    let judgement = judged(&[
        ("reviews-v1", 40, 0),
        ("reviews-v3", 55, 5),
        ("unknown", 0, 3),
        ("x", 2, 0),
    ]);
    let counts: Vec<(&str, u64, u64)> = judgement
        .subsets
        .iter()
        .map(|subset| (&*subset.subset, subset.requests, subset.errors))
        .collect();
    assert_eq!(counts, [("v1", 40, 0), ("v3", 60, 5)]);
    assert_eq!((judgement.unreached, judgement.elsewhere), (3, 2));
    let named = Errors {
        requests: 63,
        errors: 8,
    };
    assert_eq!(judgement.errors_of_named(), named);
}

#[test]
fn errors_count_when_they_are_no_chance() {
    let errors = |errors, requests| Errors { requests, errors };
    for (new, others, worse) in [
        (errors(0, 100), errors(0, 100), false),
        (errors(2, 100), errors(0, 100), false),
        (errors(20, 100), errors(0, 100), true),
        (errors(20, 100), errors(20, 100), false),
        (errors(5, 5), errors(0, 500), true),
        (errors(1, 100), errors(0, 0), false),
        (errors(30, 100), errors(0, 0), true),
    ] {
        assert_eq!(compare_errors(new, others), worse, "{new:?} {others:?}");
    }
}
