//! What others see of an election.

use std::future::Future;

use tokio::sync::watch;

/// Whether this process leads.
#[derive(Clone, Debug)]
pub struct Leadership {
    leading: watch::Receiver<bool>,
}

// === impl Leadership ===

impl Leadership {
    pub(super) fn new(leading: watch::Receiver<bool>) -> Self {
        Self { leading }
    }

    /// Whether this process leads now.
    #[cfg(test)]
    pub fn is_leader(&self) -> bool {
        *self.leading.borrow()
    }

    /// Runs the work whenever this process leads: begun anew each time it comes to lead, dropped at its next await when it no
    /// longer does. Work that ends by itself is not begun again before the next time. Returns when the election is over.
    pub async fn run<F: Future<Output = ()>>(mut self, work: impl Fn() -> F) {
        loop {
            if self.leading.wait_for(|leading| *leading).await.is_err() {
                return;
            }
            let lost = async |leading: &mut watch::Receiver<bool>| {
                leading.wait_for(|leading| !leading).await.is_err()
            };
            tokio::select! {
                over = lost(&mut self.leading) => if over { return },
                () = work() => if lost(&mut self.leading).await { return },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_done_only_while_leading() {
        let (sender, receiver) = watch::channel(false);
        let runs = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&runs);
        let task = tokio::spawn(Leadership::new(receiver).run(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        }));
        for (leading, expected) in [(true, 1), (false, 1), (true, 2)] {
            sender.send_replace(leading);
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            assert_eq!(runs.load(Ordering::SeqCst), expected);
        }
        drop(sender);
        task.await.unwrap();
    }
}
