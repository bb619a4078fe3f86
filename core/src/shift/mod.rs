//! Traffic shifts as values: who gets how much of a service's requests, which objects say so, and whether the counters agree.
//!
//! ```text
//! Snapshot + WeightRequest --plan--> Plan { changes: subsets before routes } --caller writes--> counters --judge--> Verdict
//!                            |
//!                            +-- Memory (annotation) --undo--> Plan
//! ```
//!
//! Objects are edited as the raw values they came as, so that everything else in them stays as it is.

mod refusal;
mod section;
mod weight_request;

mod target;
mod weights;

mod backends;
mod http_routes;
mod routed;
mod routes;
mod subsets;

mod first;
mod memory;
mod plan;
mod steps;
mod undo;

mod show;

mod counters;
mod expect;
mod judge;
mod limits;
mod statistics;

#[cfg(test)]
mod tests;

pub use counters::{Counters, Tally};
pub use expect::{Expectation, Expected};
pub use judge::{
    Errors, Judgement, Measured, SubsetResult, Verdict, compare_errors, judge, minimum_requests,
};
pub use limits::{Limits, Passed};
pub use memory::{ANNOTATION, History, Memory};
pub use plan::{Action, Base, Change, Plan, RuleChange, Share, plan, shares_now};
pub use refusal::{Refusal, RefusalKind};
pub use routed::RuleRef;
pub use section::Section;
pub use show::{differing, shown};
pub use statistics::{Interval, binomial_two_sided, clopper_pearson, fisher_greater};
pub use steps::steps;
pub use target::{PodSeen, SubsetSeen, Target, WorkloadVersion};
pub use undo::{shifts_of, undo};
pub use weight_request::WeightRequest;
pub use weights::apportion;
