//! Replaces the certificate before it expires.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::certificate::{Issued, ServingCertificate};

/// How often the clock is looked at. The runtime's timers stand still while a machine sleeps; the life of a certificate does not.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// Pause before another attempt when issuing has failed.
const RETRY: Duration = Duration::from_secs(30);
/// Part of the half of a life by which renewal comes earlier at random, so that replicas do not renew at once.
const JITTER: f64 = 0.1;

/// Keeps a valid certificate until it is dropped. `now` is the wall clock.
pub async fn rotate(
    serving: Arc<ServingCertificate>,
    issue: impl Fn(SystemTime) -> anyhow::Result<Issued>,
    now: impl Fn() -> SystemTime,
) {
    loop {
        let due = due(&serving.current(), rand::random());
        while let Ok(left) = due.duration_since(now())
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(LOOK)).await;
        }
        match issue(now()) {
            Ok(issued) => {
                tracing::info!("showing a new serving certificate from now on");
                serving.replace(issued);
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "failed to renew the serving certificate; the old one stays"
                );
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// When a certificate is to be replaced: at half of its life, or a little before. `draw` is in 0..1.
fn due(issued: &Issued, draw: f64) -> SystemTime {
    let life = issued.expires.duration_since(issued.issued);
    let half = life.unwrap_or(Duration::ZERO) / 2;
    issued.issued + half.mul_f64(1.0 - JITTER * draw)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::identity::Authority;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_replaced_at_half_of_its_life_and_kept_while_issuing_fails() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = Arc::new(Authority::generated().unwrap());
        let (start, began) = (
            SystemTime::UNIX_EPOCH + 1_000_000 * HOUR,
            tokio::time::Instant::now(),
        );
        let clock = move || start + began.elapsed();
        let names = ["istiod.istio-system.svc".to_owned()];
        let first = authority.issue_serving(&names, clock()).unwrap();
        assert_eq!(first.expires.duration_since(start).unwrap(), 24 * HOUR);
        let serving = ServingCertificate::new(first);
        let failures = Arc::new(AtomicUsize::new(3));
        let left = Arc::clone(&failures);
        let issue = move |now| {
            let failing = left.load(Ordering::SeqCst) > 0;
            if failing {
                left.fetch_sub(1, Ordering::SeqCst);
                anyhow::bail!("no entropy");
            }
            authority.issue_serving(&names, now)
        };
        let shown = Arc::clone(&serving);
        tokio::spawn(rotate(Arc::clone(&serving), issue, clock));
        tokio::time::sleep(10 * HOUR).await;
        assert_eq!(shown.current().issued, start);
        assert_eq!(failures.load(Ordering::SeqCst), 3);
        tokio::time::sleep(2 * HOUR + 3 * RETRY).await;
        let age = shown.current().issued.duration_since(start).unwrap();
        assert!(age > 10 * HOUR && age <= 12 * HOUR + 3 * RETRY, "{age:?}");
        assert_eq!(failures.load(Ordering::SeqCst), 0);
    }
}
