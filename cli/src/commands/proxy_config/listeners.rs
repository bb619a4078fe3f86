//! `proxy-config listeners`.

use clap::ValueEnum;

use super::describe;
use super::dump::Dump;
use super::schema::{FilterChain, Listener, view};
use super::section::Section;
use super::source::Source;

/// The listeners of a proxy: which connections it takes, and where they go
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config listeners deployment/productpage-v1 --port 9080
  meshctl proxy-config listeners deployment/productpage-v1 --type HTTP
  meshctl proxy-config listeners -f config_dump.json --address 0.0.0.0 -o yaml")]
pub struct Args {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub filter: Filter,
}

/// What to leave out.
#[derive(Debug, Default, clap::Args)]
pub struct Filter {
    /// Only listeners with this address
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Only listeners with this port
    #[arg(long, value_name = "PORT")]
    pub port: Option<u32>,
    /// Only listeners of this type
    #[arg(long = "type", value_name = "TYPE", ignore_case = true)]
    pub kind: Option<Kind>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    #[value(name = "HTTP")]
    Http,
    #[value(name = "TCP")]
    Tcp,
    #[value(name = "HTTP+TCP")]
    Both,
    #[value(name = "UNKNOWN")]
    Unknown,
}

const TITLES: &[&str] = &["ADDRESSES", "PORT", "MATCH", "DESTINATION"];

/// The listeners that the filters leave, sorted by address and port; a row for each filter chain.
pub fn section(dump: &Dump, filter: &Filter) -> anyhow::Result<Section> {
    let mut chosen = Vec::new();
    for resource in dump.listeners()? {
        let listener: Listener = view(resource)?;
        if fits(&listener, filter) {
            chosen.push((listener, resource));
        }
    }
    chosen.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    Ok(Section {
        titles: TITLES,
        rows: chosen
            .iter()
            .flat_map(|(listener, _)| rows(listener))
            .collect(),
        resources: chosen
            .into_iter()
            .map(|(_, resource)| resource.clone())
            .collect(),
    })
}

fn fits(listener: &Listener, filter: &Filter) -> bool {
    filter.address.as_ref().is_none_or(|address| {
        addresses(listener)
            .iter()
            .any(|own| own.eq_ignore_ascii_case(address))
    }) && filter
        .port
        .is_none_or(|port| listener.address.port() == port)
        && filter.kind.is_none_or(|kind| kind_of(listener) == kind)
}

fn order(listener: &Listener) -> (String, u32, &str) {
    (
        listener.address.host(),
        listener.address.port(),
        &listener.name,
    )
}

fn addresses(listener: &Listener) -> Vec<String> {
    let more = listener
        .additional_addresses
        .iter()
        .map(|more| &more.address);
    std::iter::once(&listener.address)
        .chain(more)
        .map(|address| address.host())
        .collect()
}

fn chains(listener: &Listener) -> impl Iterator<Item = &FilterChain> {
    listener
        .filter_chains
        .iter()
        .chain(&listener.default_filter_chain)
}

fn rows(listener: &Listener) -> Vec<Vec<String>> {
    let (addresses, port) = (
        addresses(listener).join(","),
        listener.address.port().to_string(),
    );
    let row = |chain: &FilterChain| {
        vec![
            addresses.clone(),
            port.clone(),
            describe::chain_match(&chain.filter_chain_match),
            describe::destination(chain),
        ]
    };
    let rows: Vec<_> = chains(listener).map(row).collect();
    if rows.is_empty() {
        vec![vec![
            addresses,
            port,
            String::new(),
            "Non-HTTP/Non-TCP".to_owned(),
        ]]
    } else {
        rows
    }
}

fn kind_of(listener: &Listener) -> Kind {
    let filters = || chains(listener).flat_map(|chain| &chain.filters);
    match (
        filters().any(describe::is_http),
        filters().any(describe::is_tcp),
    ) {
        (true, true) => Kind::Both,
        (true, false) => Kind::Http,
        (false, true) => Kind::Tcp,
        (false, false) => Kind::Unknown,
    }
}
