//! The same configuration drives our proxy and real Envoy; the same requests must get the same answers.
//!
//! Runs in a network namespace that `tests/oracle/run` sets up: connections to 10.96.0.0/16 are redirected to 15001, as in a pod.

mod backends;
mod http;
mod mesh;
mod requests;

use std::collections::BTreeMap;

use backends::Backends;
use mesh::{Kind, Mesh, Protocol};
use requests::{Answer, CASES};

/// Requests for each count; with weights 80 and 20 the share of the smaller is within 8 points in all but one of 10⁸ runs.
const SAMPLES: usize = 800;
const TOLERANCE: f64 = 0.08;

#[test]
fn sidecars_answer_alike() {
    compare(Kind::Sidecar);
}

#[test]
fn gateways_answer_alike() {
    compare(Kind::Gateway);
}

/// Runs all cases of a kind through our proxy and Envoy, over both variants of the protocol, and compares.
#[track_caller]
fn compare(kind: Kind) {
    let _backends = Backends::start();
    let mesh = Mesh::start();
    let ours = {
        let proxy = mesh.start_ours(kind);
        let answers = answers(kind);
        shares(kind, "our proxy");
        drop(proxy);
        answers
    };
    for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
        let envoy = mesh.start_envoy(kind, protocol);
        envoy.accepted_everything();
        let theirs = answers(kind);
        shares(kind, "Envoy");
        envoy.accepted_everything();
        drop(envoy);
        for (name, answer) in &ours {
            assert_eq!(answer, &theirs[name], "{name}: our proxy (left) and Envoy (right, {protocol:?}) differ");
        }
    }
}

fn answers(kind: Kind) -> BTreeMap<&'static str, Answer> {
    CASES
        .iter()
        .filter(|case| case.kind == kind)
        .map(|case| (case.name, requests::send(case)))
        .collect()
}

/// Weighted routes: nobody can say which single request goes where, but the shares are known.
fn shares(kind: Kind, who: &str) {
    let case = requests::weighted(kind);
    let second = (0..SAMPLES).filter(|_| requests::send(&case).version == "v2").count();
    let share = second as f64 / SAMPLES as f64;
    assert!((share - 0.2).abs() < TOLERANCE, "{who} sent {share} to v2, asked was 0.2");
}
