//! The workload controllers: what `kube-controller-manager` and the scheduler do in a cluster, for one node.
//!
//! Each controller is a pure function from what is observed to a list of actions; the driver at the end of this room
//! is the only code that talks to the API server:
//!
//! ```text
//! watches -> caches -> Observed -> reconcile (one function per kind) -> Vec<Action> -> API server
//!               ^                                                                         |
//!               +------------------------- answers of writes ------------------------------+
//! ```
//!
//! All of it is level triggered: a pass looks at everything, writes with the observed resource version as the
//! precondition, and a lost race is simply seen by the next pass. Garbage collection and the deletion of namespaces
//! belong to the API server.

mod accounts;
mod action;
mod cache;
mod daemon_set;
mod deployment;
mod driver;
mod endpoints;
mod job;
mod load_balancer;
mod observed;
mod pods;
mod replica_set;
mod scheduler;
mod stateful_set;

pub use action::{Action, FIELD_MANAGER, Kind, Object, is_race};
pub use cache::{Cache, Cacheable, Caches};
pub use driver::run;
pub use endpoints::are_endpoints_settled;
pub use observed::Observed;
pub use pods::{is_active, is_finished, is_ready};
pub use scheduler::NODE_NAME;

/// A controller: a name for the log, and its pure reconciliation over everything observed.
pub struct Controller {
    /// The name used in logs.
    pub name: &'static str,
    /// What to do about the observed state.
    pub reconcile: fn(&Observed) -> Vec<Action>,
}

/// All controllers, in the order in which a pass runs them: owners before what they own.
pub const CONTROLLERS: &[Controller] = &[
    Controller {
        name: "serviceaccount",
        reconcile: accounts::reconcile,
    },
    Controller {
        name: "deployment",
        reconcile: deployment::reconcile,
    },
    Controller {
        name: "replicaset",
        reconcile: replica_set::reconcile,
    },
    Controller {
        name: "replicationcontroller",
        reconcile: replica_set::reconcile_controllers,
    },
    Controller {
        name: "statefulset",
        reconcile: stateful_set::reconcile,
    },
    Controller {
        name: "daemonset",
        reconcile: daemon_set::reconcile,
    },
    Controller {
        name: "job",
        reconcile: job::reconcile,
    },
    Controller {
        name: "scheduler",
        reconcile: scheduler::reconcile,
    },
    Controller {
        name: "endpoints",
        reconcile: endpoints::reconcile,
    },
    Controller {
        name: "loadbalancer",
        reconcile: load_balancer::reconcile,
    },
];
