//! The rules as `iptables-restore` and `ip6tables-restore` read them, for kernels without nftables.
//!
//! Other rules stay as they are: only our chains are emptied, and the built-in chains get jumps to chains of ours.

use std::fmt::Write;

use mesh_ir::Cidr;

use crate::rule::{Action, Chain, ChainKind, Family, Hook, Match, Rule, Ruleset};

/// The built-in chain for a base chain, and the chain of ours that it jumps to.
fn of_base(chain: &Chain) -> Option<(&'static str, String)> {
    let hook = match chain.base?.hook {
        Hook::Prerouting => "PREROUTING",
        Hook::Output => "OUTPUT",
    };
    Some((hook, format!("MESH_{}", chain.name)))
}

fn name(chain: &Chain) -> String {
    of_base(chain).map_or_else(|| chain.name.to_owned(), |(_, name)| name)
}

fn table(kind: ChainKind) -> &'static str {
    match kind {
        ChainKind::Nat => "nat",
        ChainKind::Raw => "raw",
    }
}

/// The tables that are used, and the chains in each. What is only jumped to is in the table of address translation.
fn tables(ruleset: &Ruleset) -> Vec<(&'static str, Vec<&Chain>)> {
    [ChainKind::Nat, ChainKind::Raw]
        .into_iter()
        .map(|kind| {
            let of_kind =
                |chain: &&Chain| chain.base.map_or(ChainKind::Nat, |base| base.kind) == kind;
            (
                table(kind),
                ruleset.chains.iter().filter(of_kind).collect::<Vec<_>>(),
            )
        })
        .filter(|(_, chains)| !chains.is_empty())
        .collect()
}

/// Text that makes our chains anew and enters them once, whatever was there before: `(text for removing the jumps, text)`. Removing fails
/// line by line where there are none, so it is a list of single commands.
pub(crate) fn replace(ruleset: &Ruleset, family: Family) -> String {
    let mut text = String::new();
    for (table, chains) in tables(ruleset) {
        let _ = writeln!(text, "*{table}");
        for chain in &chains {
            let _ = writeln!(text, ":{} - [0:0]", name(chain));
        }
        for chain in &chains {
            for rule in &chain.rules {
                if rule.family().is_none_or(|of| of == family) {
                    let _ = writeln!(text, "-A {} {}", name(chain), line(rule));
                }
            }
        }
        for (hook, chain) in chains.iter().filter_map(|chain| of_base(chain)) {
            let _ = writeln!(text, "-I {hook} 1 -j {chain}");
        }
        let _ = writeln!(text, "COMMIT");
    }
    text
}

/// Arguments of commands that take every jump and chain of ours out. Each may fail, where there is nothing to take out.
pub(crate) fn removals(ruleset: &Ruleset) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for (table, chains) in tables(ruleset) {
        let mut command = |words: &[&str]| {
            let words = ["-w", "-t", table].into_iter().chain(words.iter().copied());
            commands.push(words.map(str::to_owned).collect());
        };
        for (hook, chain) in chains.iter().filter_map(|chain| of_base(chain)) {
            command(&["-D", hook, "-j", &chain]);
        }
        for step in ["-F", "-X"] {
            for chain in &chains {
                command(&[step, &name(chain)]);
            }
        }
    }
    commands
}

fn line(rule: &Rule) -> String {
    let mut words = Vec::new();
    for one in &rule.matches {
        words.push(criterion(one));
    }
    words.push(match rule.action {
        Action::Return => "-j RETURN".to_owned(),
        Action::Jump(chain) => format!("-j {chain}"),
        Action::Redirect(port) => format!("-j REDIRECT --to-ports {port}"),
        Action::TrackIn(zone) => format!("-j CT --zone {zone}"),
    });
    words.join(" ")
}

fn criterion(one: &Match) -> String {
    let not = |equal: &bool| if *equal { "" } else { "! " };
    match one {
        Match::Protocol(protocol) => format!("-p {}", protocol.name()),
        Match::DestinationPort(port, equal) => format!("{}--dport {port}", not(equal)),
        Match::SourcePort(port) => format!("--sport {port}"),
        Match::Source(Cidr { address, length }) => format!("-s {address}/{length}"),
        Match::Destination(Cidr { address, length }, within) => {
            format!("{}-d {address}/{length}", not(within))
        }
        Match::FromInterface(name) => format!("-i {name}"),
        Match::ToInterface(name) => format!("-o {name}"),
        Match::User(id, equal) => format!("-m owner {}--uid-owner {id}", not(equal)),
        Match::Group(id, equal) => format!("-m owner {}--gid-owner {id}", not(equal)),
        Match::Mark(mark, equal) => format!("-m mark {}--mark {mark}", not(equal)),
    }
}
