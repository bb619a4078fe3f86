//! `proxy-config routes`.

use super::describe;
use super::dump::Dump;
use super::schema::{RouteConfig, VirtualHost, view};
use super::section::Section;
use super::source::Source;

/// The routes of a proxy: which requests go where
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config routes deployment/productpage-v1
  meshctl proxy-config routes deployment/productpage-v1 --name 9080 -o json
  meshctl proxy-config routes -f config_dump.json")]
pub struct Args {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub filter: Filter,
}

/// What to leave out.
#[derive(Debug, Default, clap::Args)]
pub struct Filter {
    /// Only the route configuration of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

const TITLES: &[&str] = &["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"];

/// Virtual hosts that only let pass or stop what nothing else matches.
const CATCH_ALL: [&str; 3] = ["allow_any", "block_all", "passthrough"];

/// The route configurations that the filter leaves, sorted by name (numbers as numbers); a row for each route.
pub fn section(dump: &Dump, filter: &Filter) -> anyhow::Result<Section> {
    let mut chosen = Vec::new();
    for resource in dump.routes()? {
        let config: RouteConfig = view(resource)?;
        if filter.name.as_ref().is_none_or(|name| config.name == *name) {
            chosen.push((config, resource));
        }
    }
    chosen.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    Ok(Section {
        titles: TITLES,
        rows: chosen.iter().flat_map(|(config, _)| rows(config)).collect(),
        resources: chosen
            .into_iter()
            .map(|(_, resource)| resource.clone())
            .collect(),
    })
}

fn order(config: &RouteConfig) -> (u32, &str) {
    (config.name.parse().unwrap_or(u32::MAX), &config.name)
}

fn rows(config: &RouteConfig) -> Vec<Vec<String>> {
    let shown = config
        .virtual_hosts
        .iter()
        .filter(|host| !CATCH_ALL.contains(&host.name.as_str()));
    shown
        .flat_map(|host| host_rows(&config.name, host))
        .collect()
}

fn host_rows(name: &str, host: &VirtualHost) -> Vec<Vec<String>> {
    let domains = describe::domains(&host.domains);
    let row = |matches: String, object: String| {
        vec![
            name.to_owned(),
            host.name.clone(),
            domains.clone(),
            matches,
            object,
        ]
    };
    if host.routes.is_empty() {
        return vec![row("/*".to_owned(), "404".to_owned())];
    }
    let routes = host.routes.iter();
    routes
        .map(|route| {
            row(
                describe::route_match(&route.matches),
                route.metadata.object(),
            )
        })
        .collect()
}
