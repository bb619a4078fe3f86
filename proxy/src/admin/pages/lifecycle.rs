//! Readiness, draining, ending.

use http::StatusCode;

use super::{Ask, Page, State};
use crate::lifecycle::{Drain, Stage};

/// `/ready`: Envoy's word for the stage.
pub(super) fn ready(state: &State, _: &Ask) -> Page {
    let page = Page::text([state.lifecycle.name(), "\n"].concat());
    match state.lifecycle.ready() {
        Ok(()) => page,
        Err(_) => Page {
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..page
        },
    }
}

/// `/healthz/ready`: as Istio's agent answers.
pub(crate) fn healthz(state: &State) -> Page {
    match state.lifecycle.ready() {
        Ok(()) => Page::text(""),
        Err(reason) => Page::error(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

/// `/healthcheck/fail`.
pub(super) fn fail(state: &State, _: &Ask) -> Page {
    state.lifecycle.set_healthy(false);
    Page::text("OK\n")
}

/// `/healthcheck/ok`.
pub(super) fn recover(state: &State, _: &Ask) -> Page {
    state.lifecycle.set_healthy(true);
    Page::text("OK\n")
}

/// `/drain`, as Istio's agent: others are told to go elsewhere, and the proxy stays.
pub(super) fn drain(state: &State, _: &Ask) -> Page {
    state.lifecycle.drain(Drain {
        grace: true,
        ..Drain::default()
    });
    Page::text("OK\n")
}

/// `/drain_listeners`, as Envoy: at once, or with grace and then the end, unless that is to be skipped.
pub(super) fn drain_listeners(state: &State, ask: &Ask) -> Page {
    let (grace, stays) = (ask.query.has("graceful"), ask.query.has("skip_exit"));
    if stays && !grace {
        return Page::error(
            StatusCode::BAD_REQUEST,
            "skip_exit is of no use without graceful",
        );
    }
    state.lifecycle.drain(Drain {
        grace,
        inbound_only: ask.query.has("inboundonly"),
        exit: grace && !stays,
    });
    Page::text("OK\n")
}

/// `/quitquitquit`.
pub(super) fn quit(state: &State, _: &Ask) -> Page {
    state.lifecycle.advance(Stage::Quitting);
    Page::text("OK\n")
}
