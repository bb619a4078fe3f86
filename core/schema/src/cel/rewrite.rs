//! Expressions checked and rewritten where the evaluator alone would panic, run without bound or differ from Kubernetes.
//!
//! The types of fields are followed as far as the schema gives them, so that a rule about a field that does not exist cannot
//! be compiled.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators,
};

use super::program::children;
use super::{convert, functions, is_map};
use crate::OBJECT_FIELDS;
use crate::node::{Node, Rest, Type};
use crate::pattern;

/// What an expression is about.
#[derive(Clone, Copy)]
pub(super) struct Scope<'n> {
    /// The schema of `self`.
    pub(super) node: &'n Node,
    /// `self` is a whole object, with metadata.
    pub(super) whole: bool,
    /// `oldSelf` is an optional.
    pub(super) optional_old: bool,
}

/// The schema of an expression's value; none where it is not followed.
type Known<'n> = Option<&'n Node>;

pub(super) struct Rewriter<'n> {
    scope: Scope<'n>,
    /// Variables of comprehensions around.
    bound: Vec<(String, Known<'n>)>,
    uses_old: bool,
    references: u64,
}

impl<'n> Rewriter<'n> {
    pub(super) fn new(scope: Scope<'n>) -> Self {
        Self {
            scope,
            bound: Vec::new(),
            uses_old: false,
            references: 0,
        }
    }

    pub(super) fn uses_old(&self) -> bool {
        self.uses_old
    }

    pub(super) fn references(&self) -> u64 {
        self.references
    }

    /// Checks and rewrites an expression; the schema of its value comes back.
    ///
    /// # Errors
    /// Why the expression cannot be compiled.
    pub(super) fn expression(&mut self, expression: &mut IdedExpr) -> Result<Known<'n>, String> {
        match &mut expression.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Call(_) => self.call(expression),
            Expr::Select(select) => {
                let optional = is_optional(&select.operand);
                let operand = self.expression(&mut select.operand)?;
                if optional && !select.test {
                    let operand = std::mem::take(&mut *select.operand);
                    let field = text(&select.field);
                    expression.expr = call(functions::OPTIONAL_SELECT, vec![operand, field]);
                    return Ok(None);
                }
                self.select(operand, select)
            }
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.expression(element)?;
                }
                Ok(None)
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else {
                        return Err("messages cannot be created".to_owned());
                    };
                    self.expression(&mut entry.key)?;
                    self.expression(&mut entry.value)?;
                }
                Ok(None)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Literal(_) => Ok(None),
            Expr::Struct(message) => {
                Err(format!("undeclared reference to '{}'", message.type_name))
            }
            Expr::Unspecified => Err("the expression is incomplete".to_owned()),
        }
    }

    fn bound(&self, name: &str) -> Option<Known<'n>> {
        let bound = self.bound.iter().rev().find(|(bound, _)| bound == name);
        bound.map(|(_, known)| *known)
    }

    fn variable(&mut self, name: &str) -> Result<Known<'n>, String> {
        if let Some(known) = self.bound(name) {
            return Ok(known);
        }
        match name {
            "self" => {}
            "oldSelf" => self.uses_old = true,
            name => return Err(format!("undeclared reference to '{name}'")),
        }
        self.references += 1;
        let optional = name == "oldSelf" && self.scope.optional_old;
        Ok(Some(self.scope.node).filter(|_| !optional))
    }

    /// The schema of a field, which must exist.
    fn select(&self, operand: Known<'n>, select: &SelectExpr) -> Result<Known<'n>, String> {
        let Some(node) = operand else { return Ok(None) };
        let name = select.field.as_str();
        let whole = node.embedded || (self.scope.whole && std::ptr::eq(node, self.scope.node));
        if node.int_or_string || (whole && OBJECT_FIELDS.contains(&name)) {
            return Ok(None);
        }
        if is_map(node) {
            return Ok(node.field(name));
        }
        match node.kind {
            Some(Type::Object) => {
                let mut fields = node.properties.iter();
                let found = fields.find(|(field, _)| convert::escape(field) == name);
                match found {
                    Some((_, inner)) => Ok(Some(inner)),
                    None if node.preserve => Ok(None),
                    None => Err(format!("undefined field '{name}'")),
                }
            }
            Some(kind) => Err(format!(
                "type '{}' does not support field selection",
                kind.name()
            )),
            None => Ok(None),
        }
    }

    fn call(&mut self, expression: &mut IdedExpr) -> Result<Known<'n>, String> {
        let Expr::Call(call) = &mut expression.expr else {
            return Ok(None);
        };
        if let Some(bound) = binding(call)? {
            expression.expr = bound;
            return self.expression(expression);
        }
        let namespace = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(name)) if self.bound(name).is_none() => Some(name.as_str()),
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
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &mut call.args {
            arguments.push(self.expression(argument)?);
        }
        check_pattern(call)?;
        let operand = arguments.first().copied().flatten();
        match (call.func_name.as_str(), &call.target) {
            (operators::NEGATE, None) => functions::NEGATE.clone_into(&mut call.func_name),
            (operators::OPT_SELECT, None) => {
                functions::OPTIONAL_SELECT.clone_into(&mut call.func_name);
            }
            (operators::INDEX, None) => return Ok(operand.and_then(element)),
            _ => {}
        }
        Ok(None)
    }

    /// Lets each turn of a loop be paid for.
    fn comprehension(
        &mut self,
        comprehension: &mut ComprehensionExpr,
    ) -> Result<Known<'n>, String> {
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
        let range = self.expression(iter_range)?;
        let known = self.expression(accu_init)?;
        let copies = mentions_other(loop_step, &[iter_var.as_str(), accu_var.as_str()]);
        let collects = matches!(accu_init.expr, Expr::List(_) | Expr::Map(_));
        // Loops over maps go through their keys.
        let item = range
            .filter(|range| range.kind == Some(Type::Array))
            .and_then(element);
        self.bound.push((iter_var.clone(), item));
        self.bound.push((accu_var.clone(), known));
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
        Ok(None)
    }
}

/// The schema of what a list or a map holds.
fn element(node: &Node) -> Known<'_> {
    match (&node.items, &node.rest) {
        (Some(items), _) => Some(items),
        (None, Rest::Values(values)) => Some(values),
        (None, Rest::None | Rest::Any) => None,
    }
}

/// Whether a loop names variables from outside; the evaluator copies their values in each turn.
fn mentions_other(expression: &IdedExpr, own: &[&str]) -> bool {
    let mut stack = vec![expression];
    while let Some(expression) = stack.pop() {
        match &expression.expr {
            // Variables of loops inside begin with their own range, which is found anyway.
            Expr::Ident(name) if !own.contains(&name.as_str()) && !name.starts_with('@') => {
                return true;
            }
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
