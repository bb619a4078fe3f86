//! Expressions: parsed, bounded, and rewritten where the evaluator alone would panic, run without bound or differ from
//! Kubernetes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, operators,
};
use kube_cel::cel::parser::Parser;

use super::functions;
use crate::schema::pattern;

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

/// Compiles an expression.
///
/// # Errors
/// Why it cannot be compiled, as part of a sentence.
pub(super) fn compile(source: &str) -> Result<Program, String> {
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
    let mut expression = parsed.map_err(|errors| first_line(&errors.to_string()))?;
    if depth(&expression) > DEEPEST_TREE {
        return Err(format!(
            "the expression is nested deeper than {DEEPEST_TREE} levels"
        ));
    }
    let mut rewriter = Rewriter {
        bound: Vec::new(),
        uses_old: false,
        references: 0,
    };
    rewriter.expression(&mut expression)?;
    Ok(Program {
        expression,
        uses_old: rewriter.uses_old,
        references: rewriter.references,
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

fn children<'e>(expression: &'e IdedExpr, visit: &mut impl FnMut(&'e IdedExpr)) {
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

struct Rewriter {
    /// Variables of comprehensions around.
    bound: Vec<String>,
    uses_old: bool,
    references: u64,
}

impl Rewriter {
    fn expression(&mut self, expression: &mut IdedExpr) -> Result<(), String> {
        match &mut expression.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Call(_) => self.call(expression),
            Expr::Select(select) => {
                let optional = is_optional(&select.operand);
                self.expression(&mut select.operand)?;
                if optional && !select.test {
                    let operand = std::mem::take(&mut *select.operand);
                    let field = text(&select.field);
                    expression.expr = call(functions::OPTIONAL_SELECT, vec![operand, field]);
                }
                Ok(())
            }
            Expr::List(list) => list
                .elements
                .iter_mut()
                .try_for_each(|element| self.expression(element)),
            Expr::Map(map) => map
                .entries
                .iter_mut()
                .try_for_each(|entry| match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        self.expression(&mut entry.key)?;
                        self.expression(&mut entry.value)
                    }
                    EntryExpr::StructField(_) => Err("messages cannot be created".to_owned()),
                }),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Literal(_) => Ok(()),
            Expr::Struct(message) => {
                Err(format!("undeclared reference to '{}'", message.type_name))
            }
            Expr::Unspecified => Err("the expression is incomplete".to_owned()),
        }
    }

    fn variable(&mut self, name: &str) -> Result<(), String> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        match name {
            "self" => {}
            "oldSelf" => self.uses_old = true,
            name => return Err(format!("undeclared reference to '{name}'")),
        }
        self.references += 1;
        Ok(())
    }

    fn call(&mut self, expression: &mut IdedExpr) -> Result<(), String> {
        let Expr::Call(call) = &mut expression.expr else {
            return Ok(());
        };
        if let Some(bound) = binding(call)? {
            expression.expr = bound;
            return self.expression(expression);
        }
        let namespace = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(name)) if !self.bound.contains(name) => Some(name.as_str()),
            _ => None,
        };
        let qualified = namespace.map(|namespace| format!("{namespace}.{}", call.func_name));
        let qualified = qualified.is_some_and(|name| functions::is_known(&name));
        if !qualified {
            if !functions::is_known(&call.func_name) {
                return Err(format!("undeclared reference to '{}'", call.func_name));
            }
            if let Some(target) = &mut call.target {
                self.expression(target)?;
            }
        }
        call.args
            .iter_mut()
            .try_for_each(|argument| self.expression(argument))?;
        check_pattern(call)?;
        call.func_name = match (call.func_name.as_str(), &call.target) {
            (operators::NEGATE, None) => functions::NEGATE.to_owned(),
            (operators::OPT_SELECT, None) => functions::OPTIONAL_SELECT.to_owned(),
            _ => return Ok(()),
        };
        Ok(())
    }

    /// Lets each turn of a loop be paid for.
    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) -> Result<(), String> {
        let ComprehensionExpr {
            iter_range,
            iter_var,
            iter_var2: _,
            accu_var,
            accu_init,
            loop_cond,
            loop_step,
            result,
        } = comprehension;
        self.expression(iter_range)?;
        self.expression(accu_init)?;
        let own = [iter_var.clone(), accu_var.clone()];
        let copies = mentions_other(loop_step, &own);
        let collects = matches!(accu_init.expr, Expr::List(_) | Expr::Map(_));
        self.bound.extend(own);
        self.expression(loop_cond)?;
        self.expression(loop_step)?;
        self.expression(result)?;
        self.bound.truncate(self.bound.len().saturating_sub(2));
        let collected = if collects {
            Expr::Ident(accu_var.clone())
        } else {
            Expr::Literal(LiteralValue::Null)
        };
        let condition = std::mem::take(loop_cond);
        let copies = Expr::Literal(LiteralValue::Boolean(copies.into()));
        loop_cond.expr = call(
            functions::METER,
            vec![condition, node(copies), node(collected)],
        );
        Ok(())
    }
}

/// Whether a loop names variables from outside; the evaluator copies their values in each turn.
fn mentions_other(expression: &IdedExpr, own: &[String]) -> bool {
    let mut stack = vec![expression];
    while let Some(expression) = stack.pop() {
        match &expression.expr {
            // Variables of loops inside begin with their own range, which is found anyway.
            Expr::Ident(name) if !own.contains(name) && !name.starts_with('@') => return true,
            _ => children(expression, &mut |child| stack.push(child)),
        }
    }
    false
}

/// Whether a value is an optional by the form of its expression: `a.?b`, `a[?b]` and what is selected from it.
fn is_optional(expression: &IdedExpr) -> bool {
    let mut current = expression;
    loop {
        match &current.expr {
            Expr::Call(call) if call.target.is_none() => {
                match (call.func_name.as_str(), call.args.first()) {
                    (operators::OPT_SELECT | operators::OPT_INDEX, _) => return true,
                    (operators::INDEX, Some(operand)) => current = operand,
                    _ => return false,
                }
            }
            Expr::Select(select) => current = &select.operand,
            _ => return false,
        }
    }
}

/// `x.optMap(v, f)`, `x.optFlatMap(v, f)` and `cel.bind(v, x, f)`, which name a value in an expression.
fn binding(call: &mut CallExpr) -> Result<Option<Expr>, String> {
    let is_cel = call
        .target
        .as_deref()
        .is_some_and(|target| target.expr == Expr::Ident("cel".to_owned()));
    let arity = match call.func_name.as_str() {
        "optMap" | "optFlatMap" if call.target.is_some() => 2,
        "bind" if is_cel => 3,
        _ => return Ok(None),
    };
    let mut arguments = std::mem::take(&mut call.args);
    let name = match arguments.first().map(|first| &first.expr) {
        Some(Expr::Ident(name)) if arguments.len() == arity => name.clone(),
        _ => return Err(format!("{} needs a name and an expression", call.func_name)),
    };
    let body = arguments.pop().unwrap_or_default();
    if is_cel {
        let value = arguments.pop().unwrap_or_default();
        return Ok(Some(bind(name, value, body)));
    }
    let target = call.target.take().map(|target| *target).unwrap_or_default();
    let of_value = |function: &str| {
        node(Expr::Call(CallExpr {
            func_name: function.to_owned(),
            target: Some(Box::new(target.clone())),
            args: Vec::new(),
        }))
    };
    let mut bound = node(bind(name, of_value("value"), body));
    if call.func_name == "optMap" {
        bound = node(optional("of", vec![bound]));
    }
    let none = node(optional("none", Vec::new()));
    Ok(Some(self::call(
        operators::CONDITIONAL,
        vec![of_value("hasValue"), bound, none],
    )))
}

/// A loop over nothing, whose result sees the value by its name.
fn bind(name: String, value: IdedExpr, body: IdedExpr) -> Expr {
    Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: node(Expr::List(ListExpr::new(Vec::new()))),
        iter_var: "@none".to_owned(),
        iter_var2: None,
        accu_var: name,
        accu_init: value,
        loop_cond: node(Expr::Literal(LiteralValue::Boolean(false.into()))),
        loop_step: node(Expr::Literal(LiteralValue::Null)),
        result: body,
    }))
}

fn optional(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr {
        func_name: function.to_owned(),
        target: Some(Box::new(node(Expr::Ident("optional".to_owned())))),
        args,
    })
}

/// A pattern that is written out must be one.
fn check_pattern(call: &CallExpr) -> Result<(), String> {
    if !functions::TAKE_PATTERN.contains(&call.func_name.as_str()) {
        return Ok(());
    }
    let position = usize::from(call.target.is_none());
    match call.args.get(position).map(|argument| &argument.expr) {
        Some(Expr::Literal(LiteralValue::String(text))) => {
            let compiled = pattern::compile(text.inner());
            compiled.map(drop).map_err(|error| error.to_string())
        }
        _ => Ok(()),
    }
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn text(text: &str) -> IdedExpr {
    node(Expr::Literal(LiteralValue::String(text.into())))
}

fn call(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr {
        func_name: function.to_owned(),
        target: None,
        args,
    })
}
