//! The same configuration drives our proxy and real Envoy; the same requests must get the same answers.
//!
//! Runs in a network namespace that `tests/oracle/run` sets up: the tests' own connections to 10.96.0.0/15 are redirected to 15001, as those
//! of an application in a pod.

#[path = "../stack/certificates.rs"]
mod certificates;
#[path = "../stack/issuer.rs"]
mod issuer;
#[path = "../stack/tls_client.rs"]
mod tls_client;

mod backends;
mod cases;
mod http;
mod http2;
mod mesh;
mod mutual_tls;
mod policies;
mod requests;
mod secrets;

use std::collections::BTreeMap;

use backends::Backends;
use cases::{CASES, Case};
use mesh::{Kind, Mesh, Mode, Protocol};
use requests::Answer;

/// Requests for each count; with weights 80 and 20 the share of the smaller is within 8 points in all but one of 10⁸ runs.
const SAMPLES: usize = 800;
const TOLERANCE: f64 = 0.08;

#[test]
fn sidecars_answer_alike() {
    compare(Kind::Sidecar, Mode::RegistryOnly);
}

#[test]
fn sidecars_that_let_unknown_hosts_pass_answer_alike() {
    compare(Kind::Sidecar, Mode::AllowAny);
}

#[test]
fn gateways_answer_alike() {
    compare(Kind::Gateway, Mode::RegistryOnly);
}

#[test]
fn virtual_hosts_come_and_go_one_by_one() {
    const EXTRA: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: extra, namespace: default}
spec:
  hosts: [extra.example.com]
  http:
  - name: NAME
    route: [{destination: {host: reviews}}]
";
    let _backends = Backends::start();
    let mesh = Mesh::start(Mode::RegistryOnly);
    let envoy = mesh.start_envoy(Kind::Sidecar, Protocol::DeltaWithVhds);
    mesh.add("extra.yaml", &EXTRA.replace("NAME", "first-rule"));
    envoy.routes_say("first-rule", true);
    mesh.add("extra.yaml", &EXTRA.replace("NAME", "second-rule"));
    envoy.routes_say("second-rule", true);
    envoy.routes_say("first-rule", false);
    mesh.remove("extra.yaml");
    envoy.routes_say("extra.example.com", false);
    envoy.accepted_everything();
}

/// Runs all cases of a kind through Envoy, over all variants of the protocol, and through our proxy, and compares.
#[track_caller]
fn compare(kind: Kind, mode: Mode) {
    let backends = Backends::start();
    let mesh = Mesh::start(mode);
    let by_http2: Vec<Case> = CASES.iter().filter_map(Case::by_http2).collect();
    let cases: Vec<&Case> = CASES
        .iter()
        .chain(&by_http2)
        .filter(|case| case.kind == kind && case.mode == mode)
        .collect();
    let (mut all, mut places) = (Vec::new(), Vec::new());
    for protocol in [
        Protocol::Delta,
        Protocol::DeltaWithVhds,
        Protocol::StateOfTheWorld,
    ] {
        let envoy = mesh.start_envoy(kind, protocol);
        envoy.accepted_everything();
        let discovers = protocol == Protocol::DeltaWithVhds;
        assert_eq!(envoy.vhds_reloads() > 0, discovers, "{protocol:?}");
        backends.forget();
        all.push((format!("Envoy over {protocol:?}"), answers(&cases)));
        shares(kind, "Envoy");
        places.push(placed(kind));
        runs_a_script(cases[0]);
        envoy.accepted_everything();
    }
    if !only_envoy() {
        let _ours = mesh.start_ours(kind);
        backends.forget();
        all.push(("our proxy".to_owned(), answers(&cases)));
        shares(kind, "our proxy");
        places.push(placed(kind));
    }
    let mut wrong = Vec::new();
    let (_, theirs) = &all[0];
    for (who, answers) in &all {
        for case in &cases {
            let (answer, envoys) = (&answers[case.name], &theirs[case.name]);
            if answer.short() != case.expect {
                wrong.push(format!(
                    "{}: {who} answers {:?}, expected {:?}",
                    case.name,
                    answer.short(),
                    case.expect
                ));
            } else if answer != envoys {
                wrong.push(format!(
                    "{}: {who} answers\n{answer:?}, Envoy\n{envoys:?}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for place in &places {
        assert_eq!(place, &places[0], "hashes lead elsewhere");
    }
}

/// Which endpoints requests go to by their hashes.
fn placed(kind: Kind) -> Vec<(&'static str, String)> {
    if kind == Kind::Gateway {
        return Vec::new();
    }
    let hosts = ["ring", "maglev"].into_iter();
    let users = hosts.flat_map(|host| (0..40).map(move |user| (host, user)));
    users
        .map(|(host, user)| {
            let head = format!(
                "GET /?user=u{user} HTTP/1.1\r\nHost: {host}.example.com\r\nx-test-user: u{user}"
            );
            (host, requests::send_head(cases::OUTSIDE, &head).version)
        })
        .collect()
}

/// Envoy runs what an EnvoyFilter gives to it alone.
#[track_caller]
fn runs_a_script(case: &Case) {
    let head = requests::head(case);
    assert!(head.contains("x-lua: ran"), "{head}");
}

/// `ORACLE_ONLY=envoy` leaves our proxy out, to see whether Envoy does what the cases say.
fn only_envoy() -> bool {
    std::env::var_os("ORACLE_ONLY").is_some_and(|only| only == "envoy")
}

fn answers(cases: &[&Case]) -> BTreeMap<&'static str, Answer> {
    cases
        .iter()
        .map(|case| (case.name, requests::send(case)))
        .collect()
}

/// Weighted routes: nobody can say which single request goes where, but the shares are known.
fn shares(kind: Kind, who: &str) {
    let case = cases::weighted(kind);
    let second = (0..SAMPLES)
        .filter(|_| requests::send(&case).version == "v2")
        .count();
    let share = second as f64 / SAMPLES as f64;
    assert!(
        (share - 0.2).abs() < TOLERANCE,
        "{who} sent {share} to v2, asked was 0.2"
    );
}
