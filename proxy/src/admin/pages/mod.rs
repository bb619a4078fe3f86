//! The pages of the admin interface, one file per subject.

mod certs;
mod clusters;
mod config_dump;
mod init_dump;
mod lifecycle;
mod listeners;
mod logging;
mod memory;
mod server_info;
mod stats;

use super::State;
use super::page::{Ask, Page};

pub(super) use lifecycle::healthz;
pub(super) use stats::prometheus;

/// A page: where it is, what it is for, how it is written.
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) reading: Reading,
    pub(super) help: &'static str,
    pub(super) write: fn(&State, &Ask) -> Page,
}

/// Whether a page shows something or changes the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// GET.
    Shows,
    /// POST, so that no link in a browser does it.
    Changes,
    /// Both, depending on its parameters.
    Either,
}

const fn row(
    path: &'static str,
    reading: Reading,
    help: &'static str,
    write: fn(&State, &Ask) -> Page,
) -> Row {
    Row {
        path,
        reading,
        help,
        write,
    }
}

/// Every page.
pub(super) const PAGES: [Row; 18] = [
    row("/", Reading::Shows, "this list", help),
    row("/help", Reading::Shows, "this list", help),
    row(
        "/config_dump",
        Reading::Shows,
        "the configuration in force; ?include_eds adds endpoints, ?resource=LIST, ?mask=FIELDS, ?name_regex=REGEX",
        config_dump::page,
    ),
    row(
        "/certs",
        Reading::Shows,
        "certificates that are shown and trusted",
        certs::page,
    ),
    row(
        "/init_dump",
        Reading::Shows,
        "what is still missing before traffic is served",
        init_dump::page,
    ),
    row(
        "/memory",
        Reading::Shows,
        "memory of the process",
        memory::page,
    ),
    row(
        "/clusters",
        Reading::Shows,
        "endpoints and their counters; ?format=json",
        clusters::page,
    ),
    row(
        "/listeners",
        Reading::Shows,
        "addresses of listeners; ?format=json",
        listeners::page,
    ),
    row(
        "/stats",
        Reading::Shows,
        "counters; ?filter=REGEX, ?usedonly, ?format=json|prometheus",
        stats::page,
    ),
    row(
        "/stats/prometheus",
        Reading::Shows,
        "counters as Prometheus reads them",
        stats::prometheus_page,
    ),
    row(
        "/ready",
        Reading::Shows,
        "200 while serving",
        lifecycle::ready,
    ),
    row(
        "/server_info",
        Reading::Shows,
        "version, stage and node",
        server_info::page,
    ),
    row(
        "/logging",
        Reading::Either,
        "the log's level; POST ?level=LEVEL changes it",
        logging::page,
    ),
    row(
        "/drain",
        Reading::Changes,
        "tell others to go elsewhere, then take no new traffic, and stay",
        lifecycle::drain,
    ),
    row(
        "/drain_listeners",
        Reading::Changes,
        "close listeners; ?graceful waits and ends the proxy, ?skip_exit lets it stay, ?inboundonly",
        lifecycle::drain_listeners,
    ),
    row(
        "/healthcheck/fail",
        Reading::Changes,
        "be not ready, and let connections end",
        lifecycle::fail,
    ),
    row(
        "/healthcheck/ok",
        Reading::Changes,
        "be ready again",
        lifecycle::recover,
    ),
    row("/quitquitquit", Reading::Changes, "end", lifecycle::quit),
];

fn help(_: &State, _: &Ask) -> Page {
    let mut text = String::from("The pages of this interface:\n");
    for Row {
        path,
        reading,
        help,
        ..
    } in &PAGES
    {
        let method = match reading {
            Reading::Shows => "GET",
            Reading::Changes => "POST",
            Reading::Either => "GET, POST",
        };
        text.push_str(&format!("  {path:<20} {method:<10} {help}\n"));
    }
    Page::text(text)
}
