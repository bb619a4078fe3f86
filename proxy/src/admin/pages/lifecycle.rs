//! Readiness, draining, ending.

use http::StatusCode;

use super::{Ask, Page, State};
use crate::lifecycle::Stage;

/// `/ready`: Envoy's word for the stage.
pub(super) fn ready(state: &State, _: &Ask) -> Page {
    let stage = state.lifecycle.stage();
    let page = Page::text([stage.name(), "\n"].concat());
    Page {
        status: status(stage),
        ..page
    }
}

/// `/healthz/ready`: as Istio's agent answers.
pub(crate) fn healthz(state: &State) -> Page {
    match state.lifecycle.stage() {
        Stage::Live => Page::text(""),
        Stage::Starting => Page::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no configuration from the control plane yet",
        ),
        Stage::Draining | Stage::Quitting => {
            Page::error(StatusCode::SERVICE_UNAVAILABLE, "the proxy is draining")
        }
    }
}

fn status(stage: Stage) -> StatusCode {
    match stage {
        Stage::Live => StatusCode::OK,
        Stage::Starting | Stage::Draining | Stage::Quitting => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// `/drain`.
pub(super) fn drain(state: &State, _: &Ask) -> Page {
    state.lifecycle.advance(Stage::Draining);
    Page::text("OK\n")
}

/// `/quitquitquit`.
pub(super) fn quit(state: &State, _: &Ask) -> Page {
    state.lifecycle.advance(Stage::Quitting);
    Page::text("OK\n")
}
