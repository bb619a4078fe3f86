//! Which pages a port has.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::page::{Ask, Page};
use super::pages::{self, Reading};
use super::{State, agent};

/// A port of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminPort {
    /// 15000: everything.
    Admin,
    /// 15020: health, the application's probes, merged metrics.
    Agent,
    /// 15021: health.
    Health,
    /// 15090: the proxy's metrics.
    Metrics,
}

// === impl AdminPort ===

impl AdminPort {
    /// What the port is called in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Admin => "the admin interface",
            Self::Agent => "the agent",
            Self::Health => "the health check",
            Self::Metrics => "metrics",
        }
    }

    /// Answers.
    pub(super) async fn answer(self, state: &Arc<State>, ask: Ask) -> Page {
        match (self, ask.path.as_str()) {
            (Self::Admin, _) => off_thread(admin, state, ask).await,
            (Self::Agent | Self::Health, "/healthz/ready") => pages::healthz(state),
            (Self::Agent, "/quitquitquit" | "/drain") => admin(state, &ask),
            (Self::Agent, "/stats/prometheus" | "/metrics") => agent::metrics(state).await,
            (Self::Agent, path) if path.starts_with("/app-health/") => {
                agent::probe(state, path).await
            }
            (Self::Metrics, "/stats/prometheus") => pages::prometheus(state),
            (_, path) => not_found(path, self.name()),
        }
    }
}

/// Writes a page where it delays nobody: a dump of a large mesh takes a while, and discovery must go on.
async fn off_thread(write: fn(&State, &Ask) -> Page, state: &Arc<State>, ask: Ask) -> Page {
    let state = state.clone();
    let writing = tokio::task::spawn_blocking(move || write(&state, &ask));
    writing.await.unwrap_or_else(|error| {
        Page::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to write this page: {error}"),
        )
    })
}

fn admin(state: &State, ask: &Ask) -> Page {
    let Some(row) = pages::PAGES.iter().find(|row| row.path == ask.path) else {
        return not_found(&ask.path, "the admin interface; GET /help lists its pages");
    };
    match row.reading {
        Reading::Changes if ask.method != Method::POST => Page::error(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} changes the proxy and needs POST", ask.path),
        ),
        Reading::Shows if ask.method != Method::GET && ask.method != Method::HEAD => Page::error(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} shows something and needs GET", ask.path),
        ),
        _ => (row.write)(state, ask),
    }
}

fn not_found(path: &str, name: &str) -> Page {
    Page::error(
        StatusCode::NOT_FOUND,
        format!("there is no page {path} of {name}"),
    )
}
