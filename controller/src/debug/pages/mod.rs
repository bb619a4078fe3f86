//! The pages, as a table: one file for each thing that is shown.

mod clusters;
mod config_dump;
mod configuration;
mod connections;
mod services;

use http::StatusCode;
use serde_json::{Value, json};

use super::{Debug, Problem, Query};
use crate::versions::Question;

pub use config_dump::{Dumped, dump, resources_of};

/// A page.
pub struct Page {
    /// Its name below `/debug/`.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Shows it.
    pub show: fn(&Debug, &Query) -> Result<Value, Problem>,
}

/// All pages, sorted by name.
pub const ALL: [Page; 13] = [
    Page {
        name: "adsz",
        about: "who is connected, with node and subscriptions",
        show: |debug, _| Ok(connections::adsz(debug)),
    },
    Page {
        name: "clusterz",
        about: "Kubernetes clusters that are watched",
        show: |debug, _| Ok(clusters::clusterz(debug)),
    },
    Page {
        name: "config_dump",
        about: "what a proxy should have: ?proxyID=POD.NAMESPACE",
        show: config_dump::show,
    },
    Page {
        name: "configz",
        about: "objects of the mesh's kinds",
        show: |debug, _| Ok(configuration::configz(debug)),
    },
    Page {
        name: "connections",
        about: "who is connected, in short",
        show: |debug, _| Ok(connections::connections(debug)),
    },
    Page {
        name: "distribution",
        about: "how far an object has come: ?resource=KIND/NAMESPACE/NAME&version=VERSION, or KIND alone for everything of a kind",
        show: distribution,
    },
    Page {
        name: "edsz",
        about: "endpoints that a proxy should have: ?proxyID=POD.NAMESPACE",
        show: config_dump::edsz,
    },
    Page {
        name: "endpointz",
        about: "endpoints by service and port",
        show: |debug, _| Ok(services::endpointz(debug)),
    },
    Page {
        name: "instancesz",
        about: "services of each connected proxy",
        show: |debug, _| Ok(services::instancesz(debug)),
    },
    Page {
        name: "list",
        about: "these pages",
        show: |_, _| Ok(list()),
    },
    Page {
        name: "mesh",
        about: "the mesh's settings",
        show: |debug, _| Ok(configuration::mesh(debug)),
    },
    Page {
        name: "registryz",
        about: "services of the mesh",
        show: |debug, _| Ok(services::registryz(debug)),
    },
    Page {
        name: "syncz",
        about: "what each proxy was sent and has acknowledged",
        show: |debug, _| Ok(json!(debug.connections.sync_status())),
    },
];

/// The page of a name; the list for none.
pub fn find(name: &str) -> Option<&'static Page> {
    let name = if name.is_empty() { "list" } else { name };
    ALL.iter().find(|page| page.name == name)
}

fn list() -> Value {
    let all = ALL.iter().map(|page| {
        let href = ["/debug/", page.name].concat();
        json!({"name": page.name, "href": href, "help": page.about})
    });
    all.collect()
}

fn distribution(debug: &Debug, query: &Query) -> Result<Value, Problem> {
    let question =
        Question::parse(query.raw()).map_err(|message| (StatusCode::BAD_REQUEST, message))?;
    let generation = debug.versions.generation(&question);
    Ok(json!(debug.connections.distribution(generation)))
}
