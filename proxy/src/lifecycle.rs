//! Where the proxy is between its start and its end. Whoever needs to know waits for a change; nobody polls.

use tokio::sync::watch;

/// The stages in the order in which they come; none comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No configuration is in force yet.
    Starting,
    /// Serving.
    Live,
    /// Serving what is in flight, and asking clients to go elsewhere.
    Draining,
    /// Ending, as somebody asked over the admin interface.
    Quitting,
}

/// How traffic is brought to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// Whether new connections are served for as long as somebody comes.
    pub grace: bool,
    /// Whether only inbound connections are to end.
    pub inbound_only: bool,
    /// Whether the proxy ends after that.
    pub exit: bool,
}

/// The stage, shared.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    stage: watch::Sender<Stage>,
    drain: watch::Sender<Drain>,
    healthy: watch::Sender<bool>,
}

// === impl Lifecycle ===

impl Lifecycle {
    /// A proxy that starts.
    pub fn new() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Starting),
            drain: watch::Sender::new(Drain::default()),
            healthy: watch::Sender::new(true),
        }
    }

    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Goes on to a stage, unless that is passed already.
    pub fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = to > *stage;
            if later {
                *stage = to;
            }
            later
        });
    }

    /// Goes on to draining. What was asked for last counts.
    pub fn drain(&self, how: Drain) {
        self.drain.send_replace(how);
        self.advance(Stage::Draining);
    }

    /// How to drain, once that is asked for.
    pub fn drains(&self) -> watch::Receiver<Drain> {
        self.drain.subscribe()
    }

    /// Says by hand whether the proxy is fit for traffic.
    pub fn set_healthy(&self, healthy: bool) {
        self.healthy.send_replace(healthy);
    }

    /// Whether somebody has said that it is not, and whenever that changes.
    pub fn health(&self) -> watch::Receiver<bool> {
        self.healthy.subscribe()
    }

    /// Whether the proxy is ready for traffic, and if not, why.
    ///
    /// # Errors
    /// Why it is not.
    pub fn ready(&self) -> Result<(), &'static str> {
        match self.stage() {
            Stage::Starting => {
                Err("there is no configuration, or no certificate, from the control plane yet")
            }
            Stage::Live if *self.healthy.borrow() => Ok(()),
            Stage::Live => Err("somebody has let the health check fail (/healthcheck/fail)"),
            Stage::Draining | Stage::Quitting => Err("the proxy is draining"),
        }
    }

    /// The stage in Envoy's words.
    pub fn name(&self) -> &'static str {
        match self.stage() {
            Stage::Starting => "PRE_INITIALIZING",
            Stage::Live if *self.healthy.borrow() => "LIVE",
            Stage::Live | Stage::Draining | Stage::Quitting => "DRAINING",
        }
    }

    /// Waits for a stage or one after it.
    pub async fn reached(&self, wanted: Stage) {
        let mut changes = self.stage.subscribe();
        // The sender lives as long as we do.
        let _ = changes.wait_for(|stage| *stage >= wanted).await;
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}
