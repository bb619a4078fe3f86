//! Authorizers by the names under which policies refer to them (`extensionProviders`).

use std::sync::Arc;
use std::time::Duration;

use mesh_ir::policy::{
    CheckedBody, ExternalAuthorizer, ExternalAuthorizerProtocol, HttpAuthorizer, StringPattern,
};

use crate::model::{DurationText, ExtAuthzRequestBody, ExtensionProvider};
use crate::snapshot::Snapshot;
use crate::translate::naming::outbound_cluster;

/// Istio's limit of an answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
const FORBIDDEN: u16 = 403;

/// The authorizer of a name; none if the mesh knows none, or clients in the namespace do not see its service.
pub(super) fn authorizer(
    snapshot: &Snapshot,
    name: &str,
    namespace: &str,
) -> Option<ExternalAuthorizer> {
    let provider = snapshot.mesh().extension_provider(name)?;
    let ExtensionProvider {
        name,
        envoy_ext_authz_http,
        envoy_ext_authz_grpc,
        // What is told about traffic.
        ..
    } = provider;
    let name = name.as_str().into();
    if let Some(http) = envoy_ext_authz_http {
        let (cluster, _) = service(snapshot, &http.service, http.port, namespace)?;
        let told = match &*http.include_request_headers_in_check {
            [] => &http.include_headers_in_check,
            _ => &http.include_request_headers_in_check,
        };
        let added = http.include_additional_headers_in_check.iter();
        let protocol = ExternalAuthorizerProtocol::Http(HttpAuthorizer {
            path_prefix: http.path_prefix.as_str().into(),
            added_headers: added
                .map(|(name, value)| (name.to_ascii_lowercase().into(), value.as_str().into()))
                .collect(),
            upstream_headers: names(&http.headers_to_upstream_on_allow),
            appended_headers: Vec::new(),
            denial_headers: names(&http.headers_to_downstream_on_deny),
            success_headers: names(&http.headers_to_downstream_on_allow),
        });
        return Some(ExternalAuthorizer {
            protocol,
            fail_open: http.fail_open,
            status_on_error: status(&http.status_on_error),
            body: http.include_request_body_in_check.as_ref().and_then(body),
            clear_route_cache: http.clear_route_cache,
            request_headers: (!told.is_empty()).then(|| names(told)),
            ..ExternalAuthorizer::grpc(name, cluster, timeout(http.timeout))
        });
    }
    let grpc = envoy_ext_authz_grpc.as_ref()?;
    let (cluster, host) = service(snapshot, &grpc.service, grpc.port, namespace)?;
    Some(ExternalAuthorizer {
        protocol: ExternalAuthorizerProtocol::Grpc { authority: host },
        fail_open: grpc.fail_open,
        status_on_error: status(&grpc.status_on_error),
        body: grpc.include_request_body_in_check.as_ref().and_then(body),
        clear_route_cache: grpc.clear_route_cache,
        ..ExternalAuthorizer::grpc(name, cluster, timeout(grpc.timeout))
    })
}

/// The cluster and the host of a service `[NAMESPACE/]HOST`.
fn service(
    snapshot: &Snapshot,
    text: &str,
    port: u32,
    namespace: &str,
) -> Option<(Arc<str>, Arc<str>)> {
    let (own, host) = match text.split_once('/') {
        Some((own, host)) => (Some(own), host),
        None => (None, text),
    };
    let service = snapshot.find_service(host, namespace)?;
    let is_meant = *service.host == *host && own.is_none_or(|own| *service.namespace == *own);
    let port = u16::try_from(port).ok()?;
    let has_port = service.ports.iter().any(|known| known.port == port);
    (is_meant && has_port).then(|| (outbound_cluster(port, "", host), service.host.clone()))
}

fn names(names: &[String]) -> Vec<StringPattern> {
    let names = names.iter();
    names
        .map(|name| StringPattern::parse(&name.to_ascii_lowercase()))
        .collect()
}

fn timeout(timeout: Option<DurationText>) -> Duration {
    timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.0)
}

/// What is no status was refused when it came.
fn status(text: &str) -> u16 {
    text.parse().unwrap_or(FORBIDDEN)
}

fn body(body: &ExtAuthzRequestBody) -> Option<CheckedBody> {
    let ExtAuthzRequestBody {
        max_request_bytes,
        allow_partial_message,
        pack_as_bytes,
    } = *body;
    (max_request_bytes > 0).then_some(CheckedBody {
        max_bytes: max_request_bytes,
        allow_partial: allow_partial_message,
        as_bytes: pack_as_bytes,
    })
}
