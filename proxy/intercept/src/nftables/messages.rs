//! Transactions of nftables: a table made anew, a table removed, and how many rules each chain has.

use std::collections::BTreeMap;

use super::expressions::expressions;
use super::netlink::{Attributes, Messages, received, text_of};
use crate::rule::{Base, Chain, ChainKind, Hook, Rule, Ruleset};

/// Kinds of netfilter's messages that enclose a transaction.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// nftables among netfilter's subsystems.
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const GET_RULE: u16 = SUBSYSTEM << 8 | 7;

/// Flags of messages.
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// Family of tables that hold IPv4 and IPv6 alike.
const INET: u8 = 1;

/// Attributes.
const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;

/// The transaction that makes the table anew, and the number of the message that is acknowledged when it is done.
pub(crate) fn replace(ruleset: &Ruleset) -> (Vec<u8>, u32) {
    let table = ruleset.table;
    transaction(table, |batch| {
        add(batch, NEW_TABLE, CREATE, |all| all.text(TABLE_NAME, table));
        for chain in &ruleset.chains {
            add(batch, NEW_CHAIN, CREATE, |all| describe(all, table, chain));
        }
        for chain in &ruleset.chains {
            for rule in &chain.rules {
                add(batch, NEW_RULE, CREATE | APPEND, |all| {
                    append(all, table, chain, rule);
                });
            }
        }
    })
}

/// The transaction that removes the table, whether or not it is there.
pub(crate) fn remove(table: &str) -> (Vec<u8>, u32) {
    transaction(table, |_| {})
}

/// The table is gone first, however it was, and then what is added; all or nothing.
fn transaction(table: &str, fill: impl FnOnce(&mut Messages)) -> (Vec<u8>, u32) {
    let mut batch = Messages::default();
    batch.add(BATCH_BEGIN, REQUEST, 0, SUBSYSTEM, |_| {});
    // What is not there cannot be deleted, but what is there can be made again.
    add(&mut batch, NEW_TABLE, CREATE, |all| {
        all.text(TABLE_NAME, table)
    });
    add(&mut batch, DELETE_TABLE, 0, |all| {
        all.text(TABLE_NAME, table)
    });
    fill(&mut batch);
    // Not the end's: older kernels do not acknowledge that.
    let last = batch.acknowledge();
    batch.add(BATCH_END, REQUEST, 0, SUBSYSTEM, |_| {});
    (batch.finish(), last)
}

fn add(batch: &mut Messages, kind: u16, flags: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
    batch.add(kind, REQUEST | flags, INET, 0, fill);
}

fn describe(all: &mut Attributes<'_>, table: &str, chain: &Chain) {
    all.text(CHAIN_TABLE, table);
    all.text(CHAIN_NAME, chain.name);
    let Some(base) = chain.base else { return };
    all.nest(CHAIN_HOOK, |hook| {
        hook.number(HOOK_NUMBER, number(base));
        hook.number(HOOK_PRIORITY, base.priority().cast_unsigned());
    });
    all.text(
        CHAIN_TYPE,
        match base.kind {
            ChainKind::Nat => "nat",
            ChainKind::Raw => "filter",
        },
    );
}

fn number(base: Base) -> u32 {
    match base.hook {
        Hook::Prerouting => 0,
        Hook::Output => 3,
    }
}

fn append(all: &mut Attributes<'_>, table: &str, chain: &Chain, rule: &Rule) {
    all.text(RULE_TABLE, table);
    all.text(RULE_CHAIN, chain.name);
    all.nest(RULE_EXPRESSIONS, |list| expressions(list, rule));
}

/// The request for all rules of the table.
pub(crate) fn count_request(table: &str) -> (Vec<u8>, u32) {
    let mut messages = Messages::default();
    let last = messages.add(GET_RULE, REQUEST | DUMP, INET, 0, |all| {
        all.text(RULE_TABLE, table);
    });
    (messages.finish(), last)
}

/// How many rules of the table each chain has, of what was answered.
pub(crate) fn counted(answers: &[Vec<u8>], table: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in answers.iter().flat_map(|bytes| received(bytes)) {
        if message.kind == NEW_RULE
            && text_of(message.body, RULE_TABLE) == Some(table)
            && let Some(chain) = text_of(message.body, RULE_CHAIN)
        {
            *counts.entry(chain.to_owned()).or_default() += 1;
        }
    }
    counts
}
