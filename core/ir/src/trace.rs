//! Why a decision came out as it did: every rule that was tried, and why it did not match.

use std::fmt;

use crate::ConfigRef;

/// Takes down what is tried. `()` takes down nothing and costs nothing.
pub trait Trace {
    /// Whether steps are taken down. Where they are, rules are tried one by one; otherwise an index may skip those that cannot match.
    const ENABLED: bool;

    /// Takes a step down. The step is made only where it is kept.
    fn record(&mut self, step: impl FnOnce() -> Step);
}

/// Everything that was tried, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it belongs to.
    pub stage: Stage,
    /// What was tried, by a name that users know: a chain, a rule, a virtual host, a route.
    pub subject: String,
    /// Where it is written.
    pub origin: Option<Origin>,
    /// What came of it.
    pub outcome: StepOutcome,
}

/// The part of a decision that a step belongs to, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Which filter chain takes the connection.
    Chain,
    /// Who the peer is, and whether the request's token is valid.
    Authentication,
    /// CUSTOM policies.
    ExternalAuthorization,
    /// DENY, ALLOW and AUDIT policies.
    Authorization,
    /// Which virtual host serves the request's authority.
    VirtualHost,
    /// Which route takes the request.
    Route,
    /// Which of several clusters is picked.
    Target,
    /// Which failures are injected.
    Fault,
    /// Cross-origin resource sharing.
    Cors,
}

/// Where a rule is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The object.
    pub object: ConfigRef,
    /// Path of the field within it, `spec.rules[0]`; empty where only the object is known.
    pub field: String,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It matches.
    Matched,
    /// It does not match.
    NotMatched(Mismatch),
    /// Something else, in words.
    Note(String),
}

/// The first criterion that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was compared: a field of the rule or an attribute of the request, `from[0].source.principals`.
    pub criterion: String,
    /// What it must be.
    pub expected: String,
    /// What it is; none if the request has nothing of the kind.
    pub actual: Option<String>,
}

// === impl Trace ===

impl Trace for () {
    const ENABLED: bool = false;

    #[inline(always)]
    fn record(&mut self, _step: impl FnOnce() -> Step) {}
}

impl Trace for Explanation {
    const ENABLED: bool = true;

    fn record(&mut self, step: impl FnOnce() -> Step) {
        self.steps.push(step());
    }
}

impl<T: Trace> Trace for &mut T {
    const ENABLED: bool = T::ENABLED;

    #[inline(always)]
    fn record(&mut self, step: impl FnOnce() -> Step) {
        (**self).record(step);
    }
}

// === impl Mismatch ===

impl Mismatch {
    pub(crate) fn new(
        criterion: impl Into<String>,
        expected: impl Into<String>,
        actual: Option<&[u8]>,
    ) -> Self {
        Self {
            criterion: criterion.into(),
            expected: expected.into(),
            actual: actual.map(|actual| String::from_utf8_lossy(actual).into_owned()),
        }
    }

    /// The same with the criterion below another field.
    pub(crate) fn within(self, field: &str) -> Self {
        Self {
            criterion: [field, ".", &self.criterion].concat(),
            ..self
        }
    }
}

// === Display: one line for each step ===

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stage,
            subject,
            origin,
            outcome,
        } = self;
        write!(f, "{stage}: {subject}: {outcome}")?;
        match origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "filter chain",
            Self::Authentication => "authentication",
            Self::ExternalAuthorization => "external authorization",
            Self::Authorization => "authorization",
            Self::VirtualHost => "virtual host",
            Self::Route => "route",
            Self::Target => "target",
            Self::Fault => "fault",
            Self::Cors => "cors",
        })
    }
}

impl fmt::Display for StepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched => f.write_str("matched"),
            Self::NotMatched(mismatch) => write!(f, "not matched: {mismatch}"),
            Self::Note(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            criterion,
            expected,
            actual,
        } = self;
        match actual {
            Some(actual) => write!(f, "{criterion} is {actual:?}, expected {expected}"),
            None => write!(f, "{criterion} is absent, expected {expected}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigRef {
            api_version: _,
            kind,
            namespace,
            name,
        } = &self.object;
        write!(f, "{kind} {namespace}/{name}")?;
        match self.field.as_str() {
            "" => Ok(()),
            field => write!(f, " {field}"),
        }
    }
}
