//! Requests that the command sends itself, so that there is traffic to measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use crate::failure;

/// One request.
const PATIENCE: Duration = Duration::from_secs(15);
/// Requests that are under way at a time.
const AT_A_TIME: u64 = 4;

/// Requests that are being sent. Dropping it stops them.
pub struct Probe {
    senders: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    left: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
}

/// A checked address.
#[derive(Clone)]
pub struct Address {
    client: reqwest::Client,
    url: reqwest::Url,
}

// === impl Address ===

impl Address {
    /// Checks an address.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let url = reqwest::Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        let url = url.ok_or_else(|| {
            failure::usage(format!(
                "--probe: {text:?} is not an address such as http://localhost:8080/productpage"
            ))
        })?;
        // A second installation fails, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("failed to set up a client for --probe")?;
        Ok(Self { client, url })
    }

    /// Sends some requests, a few at a time.
    pub fn send(&self, requests: u64) -> Probe {
        let counts = Arc::new(Counts::default());
        counts.left.store(requests, Ordering::Relaxed);
        let senders = (0..AT_A_TIME.min(requests)).map(|_| {
            let (address, counts) = (self.clone(), counts.clone());
            tokio::spawn(async move { counts.send_all(&address).await })
        });
        Probe {
            senders: senders.collect(),
            counts,
        }
    }
}

// === impl Counts ===

impl Counts {
    async fn send_all(&self, address: &Address) {
        while self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            let ok = match address.client.get(address.url.clone()).send().await {
                Ok(answer) => {
                    let status = answer.status();
                    answer.bytes().await.is_ok() && !status.is_server_error()
                }
                Err(_) => {
                    // An address where nobody listens must not be asked as fast as it refuses.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    false
                }
            };
            self.answered.fetch_add(1, Ordering::Relaxed);
            self.failed.fetch_add(u64::from(!ok), Ordering::Relaxed);
        }
    }
}

// === impl Probe ===

impl Probe {
    /// Whether every request has ended.
    pub fn is_over(&mut self) -> bool {
        self.senders.iter().all(JoinHandle::is_finished)
    }

    /// Requests that have ended.
    pub fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// Requests that failed: no answer, or a 5xx.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        for sender in &self.senders {
            sender.abort();
        }
    }
}
