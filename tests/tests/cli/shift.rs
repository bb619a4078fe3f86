//! `shift` before it reaches a cluster: words that make no sense are refused at once, whatever cluster there may be.

use crate::place::Place;

/// Runs `meshctl shift` with these words and expects it to end by wrong usage, with both texts.
#[track_caller]
fn refused(words: &[&str], message: &str, hint: &str) {
    let ran = Place::new().run(&[&["shift"], words].concat());
    ran.ends(64).prints_nothing().says(message).says(hint);
    assert!(
        !ran.stderr.contains("cluster:"),
        "no cluster is asked: {}",
        ran.stderr
    );
}

#[test]
fn weights_that_make_no_sense_are_refused_at_once() {
    for (words, message, hint) in [
        (&["reviews"][..], "no SUBSET=WEIGHT is given", "v3=50"),
        (
            &["reviews", "v3"],
            "\"v3\" is not of the form SUBSET=WEIGHT",
            "hint:",
        ),
        (
            &["reviews", "v3=half"],
            "\"half\" of subset v3",
            "from 0 to 100",
        ),
        (
            &["reviews", "v3=60", "v2=50"],
            "add up to 110",
            "more than 100",
        ),
        (&["reviews", "v3=5", "v3=6"], "v3 is named twice", "v3"),
        (&[], "<SERVICE>", "Usage:"),
    ] {
        refused(words, message, hint);
    }
}

#[test]
fn flags_that_exclude_each_other_are_refused_at_once() {
    for (words, message) in [
        (
            &["reviews", "v3=5", "--undo"][..],
            "--undo takes the last shift back",
        ),
        (
            &["reviews", "v3=5", "v2=5", "--steps", "1,2"],
            "--steps needs exactly one",
        ),
        (
            &["reviews", "v3=5", "--interval", "1m"],
            "--interval is about --steps",
        ),
        (
            &["reviews", "v3=5", "--probe", "localhost"],
            "\"localhost\" is not an address",
        ),
        (
            &["reviews", "v3=5", "--timeout", "long"],
            "\"long\" is not a duration",
        ),
        (
            &["reviews", "v3=5", "-o", "wide"],
            "\"wide\" is not one of table, json, yaml",
        ),
    ] {
        refused(words, message, "error:");
    }
}

#[test]
fn without_a_cluster_it_says_what_to_do() {
    let ran = Place::new().run(&["shift", "reviews", "v3=50"]);
    ran.ends(1)
        .prints_nothing()
        .says("no cluster is named")
        .says("meshctl sandbox up");
}
