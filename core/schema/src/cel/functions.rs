//! What expressions can call, and how they are run: Kubernetes' library from `kube-cel`, the functions that it lacks or
//! computes differently, and the meter that bounds the cost.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt as _;
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::objects::{Key, OptionalValue};
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Value};

use super::convert::weight;
use super::program::Program;
use crate::pattern;

/// What all rules of one object may cost together. A unit is about a microsecond: a turn of a loop, or sixteen values that
/// are copied.
pub(super) const COST_LIMIT: u64 = 1_000_000;

/// Values that cost as much as one turn of a loop.
const VALUES_PER_UNIT: u64 = 16;

/// Longest text that a function makes, in bytes.
const LONGEST_TEXT: usize = 1 << 20;

/// Functions that expressions are rewritten to call; their names cannot be written.
pub(super) const METER: &str = "@meter";
pub(super) const NEGATE: &str = "@negate";
pub(super) const OPTIONAL_SELECT: &str = "@optional_select";

/// Functions whose last argument is a pattern.
pub(super) const TAKE_PATTERN: [&str; 3] = ["matches", "find", "findAll"];

/// All that can be called, by library. A rule that calls something else is refused when it is compiled.
#[rustfmt::skip]
const KNOWN: &[&[&str]] = &[
    // Operators.
    &["_?_:_", "_&&_", "_||_", "!_", "_-_", "_+_", "_*_", "_/_", "_%_", "_==_", "_!=_", "_>=_", "_<=_", "_>_", "_<_",
      "-_", "_[_]", "_[?_]", "_?._", "@in", "@not_strictly_false"],
    // Standard functions.
    &["size", "contains", "startsWith", "endsWith", "matches", "string", "bytes", "double", "int", "uint", "dyn",
      "duration", "timestamp", "getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek",
      "getHours", "getMinutes", "getSeconds", "getMilliseconds"],
    &["optional.of", "optional.none", "optional.ofNonZeroValue", "hasValue", "value", "or", "orValue"],
    // Kubernetes' libraries.
    &["charAt", "indexOf", "lastIndexOf", "lowerAscii", "upperAscii", "replace", "split", "substring", "trim", "join",
      "reverse", "strings.quote", "format"],
    &["isSorted", "sum", "min", "max", "slice", "sort", "flatten", "distinct", "first", "last"],
    &["sets.contains", "sets.equivalent", "sets.intersects"],
    &["find", "findAll"],
    &["url", "isURL", "getScheme", "getHost", "getHostname", "getPort", "getEscapedPath", "getQuery"],
    &["ip", "isIP", "ip.isCanonical", "family", "isLoopback", "isUnspecified", "isLinkLocalMulticast",
      "isLinkLocalUnicast", "isGlobalUnicast", "cidr", "isCIDR", "containsIP", "containsCIDR", "prefixLength", "masked"],
    &["semver", "isSemver", "major", "minor", "patch", "isGreaterThan", "isLessThan", "compareTo"],
    &["quantity", "isQuantity", "isInteger", "asInteger", "asApproximateFloat", "sign", "add", "sub"],
    &["format.dns1123Label", "format.dns1123Subdomain", "format.dns1035Label", "format.dns1035LabelPrefix",
      "format.dns1123LabelPrefix", "format.dns1123SubdomainPrefix", "format.qualifiedName", "format.labelValue",
      "format.uri", "format.uuid", "format.byte", "format.date", "format.datetime", "format.named", "validate"],
    &["math.ceil", "math.floor", "math.round", "math.trunc", "math.abs", "math.sign", "math.isInf", "math.isNaN",
      "math.isFinite", "math.greatest", "math.least"],
    &["base64.decode", "base64.encode"],
];

/// Whether a function, with its namespace if it has one, can be called.
pub(super) fn is_known(name: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<&str>> =
        LazyLock::new(|| KNOWN.iter().copied().flatten().copied().collect());
    NAMES.contains(name)
}

/// Why an expression has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The rules of the object cost too much.
    Cost,
    /// It went wrong.
    Error(String),
}

/// The variables of a rule.
pub(super) struct Bindings<'v> {
    pub(super) own: &'v Value,
    pub(super) old: Option<&'v Value>,
    /// `oldSelf` is an optional.
    pub(super) optional_old: bool,
}

/// Runs the rules of one object.
pub(super) struct Environment {
    context: Context<'static>,
    meter: Arc<Meter>,
}

/// What the rules of an object have cost.
#[derive(Default)]
struct Meter {
    spent: AtomicU64,
    /// Weight of the variables of the current rule.
    weight: AtomicU64,
}

// === impl Meter ===

impl Meter {
    /// Adds to the cost; false if it is too high.
    fn spend(&self, units: u64) -> bool {
        let spent = self.spent.fetch_add(units, Ordering::Relaxed);
        spent.saturating_add(units) <= COST_LIMIT
    }

    /// One turn of a loop.
    fn turn(&self, copies: bool, collected: &Value) -> bool {
        let copied = if copies {
            self.weight.load(Ordering::Relaxed) / VALUES_PER_UNIT
        } else {
            0
        };
        let collected = match collected {
            Value::Null => 0,
            collected => weight(collected),
        };
        self.spend(1 + copied + collected)
    }

    fn is_exhausted(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > COST_LIMIT
    }
}

// === impl Environment ===

impl Environment {
    pub(super) fn new() -> Self {
        let meter = Arc::new(Meter::default());
        let mut context = Context::default().with_all();
        let metered = meter.clone();
        context.add_function(
            METER,
            move |ftx: &FunctionContext<'_, '_>, goes_on: bool, copies: bool, collected: Value| {
                if metered.turn(copies, &collected) {
                    Ok(goes_on)
                } else {
                    Err(ftx.error("the cost limit is exceeded"))
                }
            },
        );
        context.add_function(NEGATE, negate);
        context.add_function(OPTIONAL_SELECT, optional_select);
        context.add_function("size", size);
        context.add_function("dyn", |value: Value| -> Result<Value, ExecutionError> {
            Ok(value)
        });
        context.add_function("matches", matches);
        context.add_function("sum", sum);
        context.add_function("replace", replace);
        context.add_function("join", join);
        Self { context, meter }
    }

    /// Evaluates a rule.
    pub(super) fn is_true(
        &self,
        program: &Program,
        bindings: &Bindings<'_>,
    ) -> Result<bool, Failure> {
        match self.run(program, bindings)? {
            Value::Bool(is_true) => Ok(is_true),
            other => Err(Failure::Error(format!(
                "it is a {} and not true or false",
                other.type_of()
            ))),
        }
    }

    /// Evaluates a message; none if it has no value, or none that is a text.
    pub(super) fn text(&self, program: &Program, bindings: &Bindings<'_>) -> Option<String> {
        match self.run(program, bindings) {
            Ok(Value::String(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    fn run(&self, program: &Program, bindings: &Bindings<'_>) -> Result<Value, Failure> {
        let weight = weight(bindings.own) + bindings.old.map_or(0, weight);
        self.meter.weight.store(weight, Ordering::Relaxed);
        if !self
            .meter
            .spend(1 + program.references() * weight / VALUES_PER_UNIT)
        {
            return Err(Failure::Cost);
        }
        let mut scope = self.context.new_inner_scope();
        scope.add_variable_from_value("self", bindings.own.clone());
        match (bindings.old, bindings.optional_old) {
            (Some(old), false) => scope.add_variable_from_value("oldSelf", old.clone()),
            (Some(old), true) => {
                let old = OptionalValue::of(old.clone());
                scope.add_variable_from_value("oldSelf", Value::Opaque(Arc::new(old)));
            }
            (None, _) => {
                let none = Value::Opaque(Arc::new(OptionalValue::none()));
                scope.add_variable_from_value("oldSelf", none);
            }
        }
        // Functions of the library may panic on numbers at the end of their range.
        let run = || Value::resolve(program.expression(), &scope);
        let result = catch_unwind(AssertUnwindSafe(run));
        if self.meter.is_exhausted() {
            return Err(Failure::Cost);
        }
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::Error(plain(&error))),
            Err(_) => Err(Failure::Error("the evaluation failed".to_owned())),
        }
    }
}

/// An error without the values in it, which may be large.
fn plain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("no such key: {name}"),
        ExecutionError::NoSuchOverload => "no such overload".to_owned(),
        ExecutionError::UndeclaredReference(name) => format!("undeclared reference to '{name}'"),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
        _ => "values have types that the operation does not take".to_owned(),
    }
}

fn negate(ftx: &FunctionContext<'_, '_>, value: Value) -> Result<Value, ExecutionError> {
    match value {
        Value::Int(number) => match number.checked_neg() {
            Some(number) => Ok(Value::Int(number)),
            None => Err(ftx.error("integer overflow")),
        },
        Value::Float(number) => Ok(Value::Float(-number)),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// `a.?b`: an optional, without value where there is no such field.
fn optional_select(operand: Value, field: Arc<String>) -> Result<Value, ExecutionError> {
    let operand = match <&OptionalValue>::try_from(&operand) {
        Ok(optional) => optional.value().cloned(),
        Err(_) => Some(operand.clone()),
    };
    let found = match operand {
        Some(Value::Map(map)) => map.map.get(&Key::String(field)).cloned(),
        None => None,
        Some(_) => return Err(ExecutionError::NoSuchOverload),
    };
    let optional = found.map_or_else(OptionalValue::none, OptionalValue::of);
    Ok(Value::Opaque(Arc::new(optional)))
}

/// Texts count by code points.
fn size(ftx: &FunctionContext<'_, '_>, This(value): This<Value>) -> Result<i64, ExecutionError> {
    let size = match value {
        Value::List(elements) => elements.len(),
        Value::Map(map) => map.map.len(),
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        _ => return Err(ftx.error("has no size")),
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

fn matches(
    ftx: &FunctionContext<'_, '_>,
    This(text): This<Arc<String>>,
    pattern: Arc<String>,
) -> Result<bool, ExecutionError> {
    let regex = pattern::compile(&pattern).map_err(|error| ftx.error(error))?;
    Ok(regex.is_match(&text))
}

fn sum(
    ftx: &FunctionContext<'_, '_>,
    This(list): This<Arc<Vec<Value>>>,
) -> Result<Value, ExecutionError> {
    let mut total = None;
    for element in list.iter() {
        let next = match (total, element) {
            (None, Value::Int(_) | Value::UInt(_) | Value::Float(_)) => Some(element.clone()),
            (Some(Value::Int(a)), Value::Int(b)) => a.checked_add(*b).map(Value::Int),
            (Some(Value::UInt(a)), Value::UInt(b)) => a.checked_add(*b).map(Value::UInt),
            (Some(Value::Float(a)), Value::Float(b)) => Some(Value::Float(a + b)),
            _ => return Err(ExecutionError::NoSuchOverload),
        };
        total = Some(next.ok_or_else(|| ftx.error("integer overflow"))?);
    }
    Ok(total.unwrap_or(Value::Int(0)))
}

fn replace(
    ftx: &FunctionContext<'_, '_>,
    This(text): This<Arc<String>>,
    Arguments(arguments): Arguments,
) -> Result<Value, ExecutionError> {
    let (from, to, most) = match arguments.as_slice() {
        [Value::String(from), Value::String(to)] => (from, to, usize::MAX),
        [Value::String(from), Value::String(to), Value::Int(most)] => {
            (from, to, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    let count = text.matches(from.as_str()).count().min(most);
    let longest = count.saturating_mul(to.len()).saturating_add(text.len());
    if longest > LONGEST_TEXT {
        return Err(ftx.error("the text becomes too long"));
    }
    let replaced = text.replacen(from.as_str(), to, most);
    Ok(Value::String(Arc::new(replaced)))
}

fn join(
    ftx: &FunctionContext<'_, '_>,
    This(list): This<Arc<Vec<Value>>>,
    Arguments(arguments): Arguments,
) -> Result<Value, ExecutionError> {
    let separator = match arguments.as_slice() {
        [] => "",
        [Value::String(separator)] => separator.as_str(),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    let mut text = String::new();
    for (index, element) in list.iter().enumerate() {
        let Value::String(element) = element else {
            return Err(ExecutionError::NoSuchOverload);
        };
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(element);
        if text.len() > LONGEST_TEXT {
            return Err(ftx.error("the text becomes too long"));
        }
    }
    Ok(Value::String(Arc::new(text)))
}
