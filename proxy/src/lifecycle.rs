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

/// The stage, shared.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    stage: watch::Sender<Stage>,
}

// === impl Lifecycle ===

impl Lifecycle {
    /// A proxy that starts.
    pub fn new() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Starting),
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

// === impl Stage ===

impl Stage {
    /// The stage in Envoy's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "PRE_INITIALIZING",
            Self::Live => "LIVE",
            Self::Draining | Self::Quitting => "DRAINING",
        }
    }
}
