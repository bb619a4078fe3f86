//! Typed objects. The raw value stays beside each, so that fields this program does not know survive.
//!
//! ```text
//! Document --decode--> (Resource, findings)        kinds: the table of what is known
//!            |
//!            +-- compile: the one validator of a kind
//! ```

mod admit;
mod compile;
mod credential;
mod decode;
mod definition;
mod kinds;
mod legacy;
mod mesh;
mod meta;
mod structural;
mod typed;
mod unquoted;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use k8s_openapi::api::{admissionregistration, apps, batch, core};
use serde_json::Value;

use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{
    AuthorizationPolicySpec, Credential, DestinationRuleSpec, EndpointSlice, EnvoyFilterSpec,
    GatewaySpec, IngressClassSpec, IngressSpec, MeshConfig, PeerAuthenticationSpec,
    ProxyConfigSpec, RequestAuthenticationSpec, ServiceEntrySpec, SidecarSpec, TelemetrySpec,
    TrafficExtensionSpec, VirtualServiceSpec, WasmPluginSpec, WorkloadEntrySpec, WorkloadGroupSpec,
    gateway_api,
};
use crate::source::Origin;

pub use crate::diag::SCHEMA;
pub use admit::{Admission, admit};
pub use decode::{decode, decode_value};
pub use kinds::{Column, Definition, Effect, Row, Scope, Watch, rows};
pub(crate) use mesh::check_mesh_config;
pub(crate) use unquoted::to_quote;

/// The kinds that a mesh needs. Old API versions of a kind are the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are the kinds' own names")]
pub enum Kind {
    Namespace,
    Node,
    ServiceAccount,
    ConfigMap,
    Secret,
    Service,
    Endpoints,
    EndpointSlice,
    Pod,
    ReplicationController,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    Ingress,
    IngressClass,
    CustomResourceDefinition,
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
    VirtualService,
    DestinationRule,
    Gateway,
    ServiceEntry,
    Sidecar,
    WorkloadEntry,
    WorkloadGroup,
    EnvoyFilter,
    ProxyConfig,
    PeerAuthentication,
    RequestAuthentication,
    AuthorizationPolicy,
    Telemetry,
    WasmPlugin,
    TrafficExtension,
    GatewayClass,
    /// `Gateway` of the Gateway API.
    KubernetesGateway,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    UdpRoute,
    ReferenceGrant,
    BackendTlsPolicy,
    ListenerSet,
    RouteRule,
    DestinationPolicy,
    EgressRule,
    /// `Policy` of `authentication.istio.io`.
    AuthenticationPolicy,
    MeshPolicy,
    ServiceRole,
    ServiceRoleBinding,
    RbacConfig,
    ClusterRbacConfig,
}

/// Identity of an object. Cluster-scoped objects have an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// Kind.
    pub kind: Kind,
    /// Namespace; `default` where a namespaced object names none.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// One object.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Identity.
    pub key: ResourceKey,
    /// What is common to all kinds.
    pub meta: Meta,
    /// The typed view.
    pub object: Object,
    /// The object as it came (without `metadata.managedFields`).
    pub raw: Arc<Value>,
    /// Where it came from.
    pub origin: Origin,
    /// What is wrong with it by itself, and what of it has no effect. The same at every entry point.
    pub findings: Vec<Diagnostic>,
    /// Parts of it have a wrong type and count as absent here. Analysis looks at such an object; nothing may act on it.
    pub malformed: bool,
}

/// What the mesh reads of `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.creationTimestamp` in seconds since 1970; files have none.
    pub created: Option<i64>,
    /// `metadata.resourceVersion`; files have none.
    pub resource_version: Option<Arc<str>>,
    /// `metadata.generation`; files have none.
    pub generation: Option<i64>,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

/// The typed view of an object.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are the kinds' own names")]
pub enum Object {
    Namespace(Arc<core::v1::Namespace>),
    Node(Arc<core::v1::Node>),
    ServiceAccount(Arc<core::v1::ServiceAccount>),
    ConfigMap(Arc<core::v1::ConfigMap>),
    Secret(Arc<Credential>),
    Service(Arc<core::v1::Service>),
    Endpoints(Arc<core::v1::Endpoints>),
    EndpointSlice(Arc<EndpointSlice>),
    Pod(Arc<core::v1::Pod>),
    ReplicationController(Arc<core::v1::ReplicationController>),
    Deployment(Arc<apps::v1::Deployment>),
    ReplicaSet(Arc<apps::v1::ReplicaSet>),
    StatefulSet(Arc<apps::v1::StatefulSet>),
    DaemonSet(Arc<apps::v1::DaemonSet>),
    Job(Arc<batch::v1::Job>),
    CronJob(Arc<batch::v1::CronJob>),
    Ingress(Arc<IngressSpec>),
    IngressClass(Arc<IngressClassSpec>),
    MutatingWebhookConfiguration(Arc<admissionregistration::v1::MutatingWebhookConfiguration>),
    ValidatingWebhookConfiguration(Arc<admissionregistration::v1::ValidatingWebhookConfiguration>),
    VirtualService(Arc<VirtualServiceSpec>),
    DestinationRule(Arc<DestinationRuleSpec>),
    Gateway(Arc<GatewaySpec>),
    ServiceEntry(Arc<ServiceEntrySpec>),
    Sidecar(Arc<SidecarSpec>),
    WorkloadEntry(Arc<WorkloadEntrySpec>),
    WorkloadGroup(Arc<WorkloadGroupSpec>),
    EnvoyFilter(Arc<EnvoyFilterSpec>),
    ProxyConfig(Arc<ProxyConfigSpec>),
    PeerAuthentication(Arc<PeerAuthenticationSpec>),
    RequestAuthentication(Arc<RequestAuthenticationSpec>),
    AuthorizationPolicy(Arc<AuthorizationPolicySpec>),
    Telemetry(Arc<TelemetrySpec>),
    WasmPlugin(Arc<WasmPluginSpec>),
    TrafficExtension(Arc<TrafficExtensionSpec>),
    GatewayClass(Arc<gateway_api::GatewayClassSpec>),
    KubernetesGateway(Arc<gateway_api::GatewaySpec>),
    HttpRoute(Arc<gateway_api::HttpRouteSpec>),
    GrpcRoute(Arc<gateway_api::GrpcRouteSpec>),
    TlsRoute(Arc<gateway_api::TlsRouteSpec>),
    TcpRoute(Arc<gateway_api::TcpRouteSpec>),
    UdpRoute(Arc<gateway_api::TcpRouteSpec>),
    ReferenceGrant(Arc<gateway_api::ReferenceGrantSpec>),
    BackendTlsPolicy(Arc<gateway_api::BackendTlsPolicySpec>),
    ListenerSet(Arc<gateway_api::ListenerSetSpec>),
    /// A kind without a type of ours: there is the raw value alone.
    Untyped,
    /// The `mesh` key of the ConfigMap `istio`, or a file that holds only it.
    MeshConfig(Arc<MeshConfig>),
}

// === impl Resource ===

impl Resource {
    /// Whether it is refused where objects are written: an error is among its findings.
    pub fn is_refused(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether something is wrong at a path or inside of it, so that nothing may act on this part.
    pub fn refuses(&self, path: &FieldPath) -> bool {
        self.errors().any(|error| error.path.starts_with(path))
    }

    /// As [`Resource::refuses`], leaving aside what is wrong at `except` or inside of it.
    pub fn refuses_beyond(&self, path: &FieldPath, except: &FieldPath) -> bool {
        self.errors()
            .any(|error| error.path.starts_with(path) && !error.path.starts_with(except))
    }

    fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.level == Level::Error)
    }
}

impl Resource {
    /// The object without its raw form, for those who only look at the typed one. Of ServiceEntries that cannot be done: what they
    /// are given in their status has no type.
    #[must_use]
    pub fn without_raw(self) -> Self {
        static NOTHING: LazyLock<Arc<Value>> = LazyLock::new(Arc::default);
        let raw = match self.key.kind {
            Kind::ServiceEntry => self.raw,
            _ => NOTHING.clone(),
        };
        Self { raw, ..self }
    }
}

impl fmt::Display for ResourceKey {
    /// `VirtualService default/reviews`, or `Namespace default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
        } = self;
        let kind = kind.name();
        if namespace.is_empty() {
            write!(f, "{kind} {name}")
        } else {
            write!(f, "{kind} {namespace}/{name}")
        }
    }
}
