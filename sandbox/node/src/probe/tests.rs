//! Probes keep Kubernetes' thresholds, on a clock that tests drive.

use std::cell::{Cell, RefCell};

use serde_json::{Value, json};

use super::*;

fn timing(probe: Value) -> Timing {
    Timing::of(&serde_json::from_value(probe).unwrap())
}

#[test]
fn checks_are_read() {
    let container: Container = serde_json::from_value(
        json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}),
    )
    .unwrap();
    let of = |probe: Value| Check::of(&serde_json::from_value(probe).unwrap(), &container);
    let tcp = |port| Check::Tcp { host: None, port };
    assert_eq!(of(json!({"tcpSocket": {"port": "web"}})), tcp(8080));
    assert_eq!(of(json!({"tcpSocket": {"port": 90}})), tcp(90));
    assert!(matches!(
        of(json!({"tcpSocket": {"port": "nope"}})),
        Check::Unsupported(_)
    ));
    let http = of(json!({"httpGet": {"port": 15021, "path": "/healthz/ready"}}));
    assert_eq!(
        http,
        Check::Http {
            is_secure: false,
            host: None,
            port: 15021,
            path: "/healthz/ready".into(),
            headers: vec![]
        }
    );
    let secure = of(json!({"httpGet": {"port": 8443, "scheme": "HTTPS"}}));
    assert!(matches!(
        secure,
        Check::Http {
            is_secure: true,
            ..
        }
    ));
    let service = "a.B".to_owned();
    assert_eq!(
        of(json!({"grpc": {"port": 1, "service": "a.B"}})),
        Check::Grpc { port: 1, service }
    );
}

#[tokio::test(start_paused = true)]
async fn startup_is_eager_but_its_budget_is_the_probes_own() {
    let asked = Cell::new(0);
    let probe = timing(json!({"periodSeconds": 10, "failureThreshold": 2}));
    let begun = Instant::now();
    let third = |_| {
        asked.set(asked.get() + 1);
        let answer = if asked.get() == 3 {
            Ok(())
        } else {
            Err("no".to_owned())
        };
        async move { answer }
    };
    started(probe, third).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "{:?}",
        begun.elapsed()
    );

    let begun = Instant::now();
    let failure = started(probe, |_| async { Err("never".to_owned()) }).await;
    assert_eq!(failure, Err("never".to_owned()));
    assert!(
        (20..22).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn readiness_turns_at_its_thresholds() {
    // Ready from 1 s to 100 s; ten-second periods and three failures: unready within 130 s.
    let begun = Instant::now();
    let turns = RefCell::new(Vec::new());
    let ask = |_| {
        let up = (1..100).contains(&begun.elapsed().as_secs());
        async move { if up { Ok(()) } else { Err("down".to_owned()) } }
    };
    let report = |answer: Result<(), String>| {
        turns
            .borrow_mut()
            .push((answer.is_ok(), begun.elapsed().as_secs()))
    };
    let _ = timeout(
        Duration::from_secs(200),
        readiness(timing(json!({})), ask, report),
    )
    .await;
    let turns = turns.into_inner();
    assert_eq!(turns.len(), 2, "{turns:?}");
    assert_eq!(turns[0], (true, 1));
    assert!(
        !turns[1].0 && (120..=131).contains(&turns[1].1),
        "{turns:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn liveness_waits_and_counts() {
    let begun = Instant::now();
    let probe =
        timing(json!({"initialDelaySeconds": 5, "periodSeconds": 2, "failureThreshold": 3}));
    assert_eq!(
        death(probe, |_| async { Err("dead".to_owned()) }).await,
        "dead"
    );
    assert_eq!(begun.elapsed().as_secs(), 9);
}
