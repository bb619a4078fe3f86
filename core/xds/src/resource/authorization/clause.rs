//! The trees of permissions and principals: sets of clauses that must all hold, each a choice that may be negated.

use super::super::border::{At, InvalidResource};

/// A permission or a principal.
pub(super) trait Node: Sized {
    fn all(nodes: Vec<Self>) -> Self;
    fn one_of(nodes: Vec<Self>) -> Self;
    fn not(node: Self) -> Self;
    fn any() -> Self;
    /// What it is made of; none for one that is empty.
    fn open(self) -> Option<Open<Self>>;
}

/// What a node is made of.
pub(super) enum Open<N> {
    All(Vec<N>),
    OneOf(Vec<N>),
    Not(N),
    Any(bool),
    Leaf(N),
}

/// Nodes of which one must hold, or none may.
#[derive(Clone, Debug)]
pub(super) struct Clause<T> {
    pub(super) negated: bool,
    pub(super) nodes: Vec<T>,
}

/// Clauses that must all hold, with those of `when` apart.
#[derive(Clone, Debug)]
pub(super) struct Clauses<T> {
    pub(super) own: Vec<Clause<T>>,
    pub(super) when: Vec<Clause<T>>,
}

/// The tree of clauses. Those of `when` are a set of their own, which means the same and tells them apart.
pub(super) fn to_node<N: Node>(own: Vec<Clause<N>>, when: Vec<Clause<N>>) -> N {
    let node = |clause: Clause<N>| {
        let choice = N::one_of(clause.nodes);
        if clause.negated {
            N::not(choice)
        } else {
            choice
        }
    };
    let mut nodes: Vec<N> = own.into_iter().map(node).collect();
    if !when.is_empty() {
        nodes.push(N::all(when.into_iter().map(node).collect()));
    }
    if nodes.is_empty() {
        N::any()
    } else {
        N::all(nodes)
    }
}

/// The clauses of a tree. `is_leaf` tells sets that are values by themselves.
pub(super) fn from_node<N: Node>(
    node: N,
    is_leaf: impl Fn(&[N]) -> bool + Copy,
    at: &At<'_>,
) -> Result<Clauses<N>, InvalidResource> {
    let mut clauses = Clauses {
        own: Vec::new(),
        when: Vec::new(),
    };
    match node.open() {
        Some(Open::All(nodes)) if !is_leaf(&nodes) => {
            for (index, node) in nodes.into_iter().enumerate() {
                let at = at.index(index);
                match node.open() {
                    Some(Open::All(nodes)) if !is_leaf(&nodes) => {
                        for node in nodes {
                            clauses.when.extend(clause(node, is_leaf, &at)?);
                        }
                    }
                    opened => clauses.own.extend(opened_clause(opened, is_leaf, &at)?),
                }
            }
        }
        opened => clauses.own.extend(opened_clause(opened, is_leaf, at)?),
    }
    Ok(clauses)
}

fn clause<N: Node>(
    node: N,
    is_leaf: impl Fn(&[N]) -> bool + Copy,
    at: &At<'_>,
) -> Result<Option<Clause<N>>, InvalidResource> {
    opened_clause(node.open(), is_leaf, at)
}

/// None for what always holds.
fn opened_clause<N: Node>(
    opened: Option<Open<N>>,
    is_leaf: impl Fn(&[N]) -> bool + Copy,
    at: &At<'_>,
) -> Result<Option<Clause<N>>, InvalidResource> {
    let one = |negated, nodes| Ok(Some(Clause { negated, nodes }));
    match opened {
        Some(Open::Any(true)) => Ok(None),
        Some(Open::OneOf(nodes)) if !nodes.is_empty() => one(false, nodes),
        Some(Open::Leaf(node)) => one(false, vec![node]),
        Some(Open::All(nodes)) if is_leaf(&nodes) => one(false, vec![N::all(nodes)]),
        Some(Open::Not(node)) => match node.open() {
            Some(Open::OneOf(nodes)) if !nodes.is_empty() => one(true, nodes),
            Some(Open::Leaf(node)) => one(true, vec![node]),
            Some(Open::All(nodes)) if is_leaf(&nodes) => one(true, vec![N::all(nodes)]),
            _ => Err(at.unsupported()),
        },
        _ => Err(at.unsupported()),
    }
}

/// Whether a tree never holds: the negation of what always does.
pub(super) fn is_never<N: Node>(node: N) -> bool {
    match node.open() {
        Some(Open::Not(node)) => matches!(node.open(), Some(Open::Any(true))),
        _ => false,
    }
}
