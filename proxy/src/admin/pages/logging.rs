//! `/logging`: the level of the proxy's own log.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{Ask, Page, State};
use crate::bootstrap::parse_level;

pub(super) fn page(state: &State, ask: &Ask) -> Page {
    if ask.query.iter().next().is_some() {
        if ask.method != Method::POST {
            return Page::error(
                StatusCode::METHOD_NOT_ALLOWED,
                "changing the level needs POST",
            );
        }
        if let Err(message) = change(state, ask) {
            return Page::error(StatusCode::BAD_REQUEST, message);
        }
    }
    let level = state.log.current.load().to_string();
    Page::text(format!(
        "active loggers:\n  proxy: {}\n",
        level.to_lowercase()
    ))
}

/// `level=debug`, or `paths=...:debug` and `NAME=debug` for the one logger that there is.
fn change(state: &State, ask: &Ask) -> Result<(), String> {
    for (name, value) in ask.query.iter() {
        let level = parse_level(value).ok_or_else(|| {
            format!(
                "{name} cannot be {value:?}: expected trace, debug, info, warning, error or off"
            )
        })?;
        if !(state.log.set)(level) {
            return Err("the level of this log cannot be changed".to_owned());
        }
        state.log.current.store(Arc::new(level));
    }
    Ok(())
}
