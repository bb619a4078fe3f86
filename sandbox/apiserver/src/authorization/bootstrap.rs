//! The roles that every cluster has from the start, and who has them.
//!
//! Roles for Kubernetes' own components are not among them: the sandbox's controllers and node belong to its owner.

/// One role of the cluster.
pub struct BootstrapRole {
    pub name: &'static str,
    /// Groups that have it.
    pub groups: &'static [&'static str],
    /// Roles that it is a part of, by the label `rbac.authorization.k8s.io/aggregate-to-ROLE`.
    pub part_of: &'static [&'static str],
    /// Whether it is made of the roles that are parts of it.
    pub is_aggregated: bool,
    pub rules: &'static [BootstrapRule],
}

/// What a role allows.
pub enum BootstrapRule {
    /// Groups, resources and verbs.
    Resources(
        &'static [&'static str],
        &'static [&'static str],
        &'static [&'static str],
    ),
    /// Paths and verbs.
    Paths(&'static [&'static str], &'static [&'static str]),
}

use BootstrapRule::{Paths, Resources};

const ALL: &[&str] = &["*"];
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const CREATE: &[&str] = &["create"];
const AUTHENTICATED: &str = "system:authenticated";
const HEALTH: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
const DISCOVERY: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

const fn role(
    name: &'static str,
    groups: &'static [&'static str],
    rules: &'static [BootstrapRule],
) -> BootstrapRole {
    BootstrapRole {
        name,
        groups,
        part_of: &[],
        is_aggregated: false,
        rules,
    }
}

const fn aggregated(name: &'static str, part_of: &'static [&'static str]) -> BootstrapRole {
    BootstrapRole {
        name,
        groups: &[],
        part_of,
        is_aggregated: true,
        rules: &[],
    }
}

const fn part(
    name: &'static str,
    part_of: &'static [&'static str],
    rules: &'static [BootstrapRule],
) -> BootstrapRole {
    BootstrapRole {
        name,
        groups: &[],
        part_of,
        is_aggregated: false,
        rules,
    }
}

/// What people see who may look, in a namespace: everything but Secrets and roles.
const VIEW: &[BootstrapRule] = &[
    Resources(
        &[""],
        &[
            "bindings",
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "namespaces",
            "namespaces/status",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "pods/log",
            "pods/status",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
            "serviceaccounts",
            "services",
            "services/status",
        ],
        READ,
    ),
    Resources(&["discovery.k8s.io"], &["endpointslices"], READ),
    Resources(
        &["apps"],
        &[
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ],
        READ,
    ),
    Resources(
        &["autoscaling"],
        &[
            "horizontalpodautoscalers",
            "horizontalpodautoscalers/status",
        ],
        READ,
    ),
    Resources(
        &["batch"],
        &["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
        READ,
    ),
    Resources(
        &["policy"],
        &["poddisruptionbudgets", "poddisruptionbudgets/status"],
        READ,
    ),
    Resources(
        &["networking.k8s.io"],
        &["ingresses", "ingresses/status", "networkpolicies"],
        READ,
    ),
];

/// What people change who work in a namespace.
const EDIT: &[BootstrapRule] = &[
    Resources(
        &[""],
        &[
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "secrets",
            "services/proxy",
        ],
        READ,
    ),
    Resources(&[""], &["serviceaccounts"], &["impersonate"]),
    Resources(
        &[""],
        &[
            "configmaps",
            "events",
            "persistentvolumeclaims",
            "pods",
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
            "services/proxy",
        ],
        WRITE,
    ),
    Resources(&[""], &["pods/eviction", "serviceaccounts/token"], CREATE),
    Resources(
        &["apps"],
        &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
        WRITE,
    ),
    Resources(&["autoscaling"], &["horizontalpodautoscalers"], WRITE),
    Resources(&["batch"], &["cronjobs", "jobs"], WRITE),
    Resources(&["policy"], &["poddisruptionbudgets"], WRITE),
    Resources(
        &["networking.k8s.io"],
        &["ingresses", "networkpolicies"],
        WRITE,
    ),
    Resources(
        &["coordination.k8s.io"],
        &["leases"],
        &[
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ],
    ),
];

/// What those do beside that to whom a namespace belongs.
const ADMIN: &[BootstrapRule] = &[
    Resources(
        &["authorization.k8s.io"],
        &["localsubjectaccessreviews"],
        CREATE,
    ),
    Resources(
        &["rbac.authorization.k8s.io"],
        &["rolebindings", "roles"],
        &[
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ],
    ),
];

/// All of them.
pub const ROLES: &[BootstrapRole] = &[
    role(
        "cluster-admin",
        &[super::MASTERS],
        &[Resources(ALL, ALL, ALL), Paths(ALL, ALL)],
    ),
    role(
        "system:discovery",
        &[AUTHENTICATED],
        &[Paths(DISCOVERY, &["get"])],
    ),
    role(
        "system:public-info-viewer",
        &[AUTHENTICATED, "system:unauthenticated"],
        &[Paths(HEALTH, &["get"])],
    ),
    role(
        "system:basic-user",
        &[AUTHENTICATED],
        &[
            Resources(
                &["authorization.k8s.io"],
                &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                CREATE,
            ),
            Resources(&["authentication.k8s.io"], &["selfsubjectreviews"], CREATE),
        ],
    ),
    role(
        "system:auth-delegator",
        &[],
        &[
            Resources(&["authentication.k8s.io"], &["tokenreviews"], CREATE),
            Resources(&["authorization.k8s.io"], &["subjectaccessreviews"], CREATE),
        ],
    ),
    role(
        "system:monitoring",
        &[],
        &[Paths(
            &[
                "/healthz",
                "/healthz/*",
                "/livez",
                "/livez/*",
                "/metrics",
                "/metrics/slis",
                "/readyz",
                "/readyz/*",
            ],
            &["get"],
        )],
    ),
    aggregated("admin", &[]),
    aggregated("edit", &["admin"]),
    aggregated("view", &["edit"]),
    part("system:aggregate-to-admin", &["admin"], ADMIN),
    part("system:aggregate-to-edit", &["edit"], EDIT),
    part("system:aggregate-to-view", &["view"], VIEW),
];
