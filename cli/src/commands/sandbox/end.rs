//! The signals that end a sandbox which runs in this process.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, a polite kill, and the end of the terminal.
pub struct EndSignals {
    signals: [Signal; 3],
}

// === impl EndSignals ===

impl EndSignals {
    /// From now on these signals are told here and no longer end the process by themselves.
    pub fn listen() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self {
            signals: [
                on(SignalKind::interrupt())?,
                on(SignalKind::terminate())?,
                on(SignalKind::hangup())?,
            ],
        })
    }

    /// Returns with the next of them.
    pub async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
