//! Expressions: parsed within bounds, checked and rewritten ([`super::rewrite`]).

use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{ComprehensionExpr, EntryExpr, Expr};
use kube_cel::cel::parser::Parser;

use super::rewrite::{Rewriter, Scope};

/// Longest expression, in bytes.
const LONGEST: usize = 4 << 10;

/// How deep parentheses, lists and calls may be nested. Parsing and evaluating recurse.
const DEEPEST: u16 = 48;

/// How deep the parsed expression may be; chains of operators and of fields count as well.
const DEEPEST_TREE: usize = 200;

/// How many conditional operators an expression may have.
const MOST_CONDITIONALS: usize = 32;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    expression: IdedExpr,
    uses_old: bool,
    /// How often `self` and `oldSelf` are named; each time the evaluator may copy the value.
    references: u64,
}

/// Parses an expression within bounds; what it names need not exist.
///
/// # Errors
/// Why it cannot be parsed, as part of a sentence.
pub(super) fn parse(source: &str) -> Result<IdedExpr, String> {
    if source.len() > LONGEST {
        return Err(format!("the expression is longer than {LONGEST} bytes"));
    }
    if source.matches('?').count() > MOST_CONDITIONALS {
        return Err(format!(
            "more than {MOST_CONDITIONALS} conditional operators"
        ));
    }
    let parse = || {
        Parser::new()
            .max_recursion_depth(DEEPEST)
            .enable_optional_syntax(true)
            .parse(source)
    };
    // The parser is generated code; an expression that it cannot stand is one that cannot be compiled.
    let parsed = catch_unwind(AssertUnwindSafe(parse))
        .map_err(|_| "the expression is too complex".to_owned())?;
    let expression = parsed.map_err(|errors| first_line(&errors.to_string()))?;
    if depth(&expression) > DEEPEST_TREE {
        return Err(format!(
            "the expression is nested deeper than {DEEPEST_TREE} levels"
        ));
    }
    Ok(expression)
}

/// Compiles an expression.
///
/// # Errors
/// Why it cannot be compiled, as part of a sentence.
pub(super) fn compile(source: &str, scope: Scope<'_>) -> Result<Program, String> {
    let mut expression = parse(source)?;
    let mut rewriter = Rewriter::new(scope);
    rewriter.expression(&mut expression)?;
    Ok(Program {
        uses_old: rewriter.uses_old(),
        references: rewriter.references(),
        expression,
    })
}

/// `ERROR: <input>:1:5: why`, without the picture of the place.
fn first_line(errors: &str) -> String {
    let first = errors.lines().next().unwrap_or_default();
    first
        .trim_start_matches("ERROR: <input>:")
        .replace("Syntax error: ", "")
}

/// Depth of a tree, without recursion.
fn depth(expression: &IdedExpr) -> usize {
    let mut stack = vec![(expression, 1)];
    let mut deepest = 0;
    while let Some((expression, depth)) = stack.pop() {
        deepest = deepest.max(depth);
        children(expression, &mut |child| stack.push((child, depth + 1)));
    }
    deepest
}

pub(super) fn children<'e>(expression: &'e IdedExpr, visit: &mut impl FnMut(&'e IdedExpr)) {
    match &expression.expr {
        Expr::Call(call) => {
            call.target.iter().for_each(|target| visit(target));
            call.args.iter().for_each(visit);
        }
        Expr::Comprehension(comprehension) => {
            let ComprehensionExpr {
                iter_range,
                iter_var: _,
                iter_var2: _,
                accu_var: _,
                accu_init,
                loop_cond,
                loop_step,
                result,
            } = &**comprehension;
            [iter_range, accu_init, loop_cond, loop_step, result]
                .into_iter()
                .for_each(visit);
        }
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    visit(&entry.key);
                    visit(&entry.value);
                }
            }
        }
        Expr::Select(select) => visit(&select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

// === impl Program ===

impl Program {
    pub(super) fn expression(&self) -> &IdedExpr {
        &self.expression
    }

    /// Whether the expression compares with the stored value.
    pub(super) fn uses_old(&self) -> bool {
        self.uses_old
    }

    pub(super) fn references(&self) -> u64 {
        self.references
    }
}
