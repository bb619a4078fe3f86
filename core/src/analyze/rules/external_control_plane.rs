//! Webhooks of a control plane outside of the cluster whose address cannot be right (IST0163, IST0164).

use std::net::IpAddr;

use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "externalcontrolplane.ExternalControlPlaneAnalyzer",
    summary: "webhooks name the address of a control plane",
    codes: &["IST0163", "IST0164"],
    check,
};

/// Top-level names that resolve nowhere (RFC 6761 and 2606).
const NOWHERE: [&str; 3] = ["invalid", "test", "example"];

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context
        .snapshot
        .resources(Kind::ValidatingWebhookConfiguration)
    {
        let name = &resource.key.name;
        let is_istio = &**name == "istiod-default-validator" || name.starts_with("istio-validator");
        if let (true, Object::ValidatingWebhookConfiguration(object)) = (is_istio, &resource.object)
        {
            for (position, webhook) in object.webhooks.iter().flatten().enumerate() {
                let config = &webhook.client_config;
                findings.extend(problem(resource, position, &webhook.name, config));
            }
        }
    }
    for resource in context
        .snapshot
        .resources(Kind::MutatingWebhookConfiguration)
    {
        let is_istio = resource.key.name.starts_with("istio-sidecar-injector");
        if let (true, Object::MutatingWebhookConfiguration(object)) = (is_istio, &resource.object) {
            for (position, webhook) in object.webhooks.iter().flatten().enumerate() {
                let config = &webhook.client_config;
                findings.extend(problem(resource, position, &webhook.name, config));
            }
        }
    }
}

fn problem(
    resource: &Resource,
    position: usize,
    name: &str,
    config: &WebhookClientConfig,
) -> Option<Diagnostic> {
    let path = FieldPath::root()
        .key("webhooks")
        .index(position)
        .key("clientConfig");
    let invalid = |path, what: String| {
        let message = format!("webhook {name} cannot reach a control plane: {what}");
        Some(finding("IST0163", Level::Warning, resource, path, message))
    };
    let Some(url) = &config.url else {
        return match config.service {
            Some(_) => None,
            None => invalid(path, "it names neither an address nor a Service".to_owned()),
        };
    };
    let path = path.key("url");
    let Some(host) = host_of(url) else {
        return invalid(path, format!("{url:?} is not an address"));
    };
    if host.parse::<IpAddr>().is_ok() {
        let mut found = finding(
            "IST0164",
            Level::Info,
            resource,
            path,
            format!("webhook {name} names the control plane by an IP address: {url}"),
        );
        found.hint = Some("name a host, whose address can change".to_owned());
        return Some(found);
    }
    if !can_resolve(host) {
        return invalid(path, format!("{host:?} cannot be resolved"));
    }
    None
}

/// The host of an address, without the brackets of IPv6.
fn host_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.is_empty() || url.contains(char::is_whitespace) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return is_port(port.strip_prefix(':').unwrap_or(port)).then_some(host);
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    is_port(port).then_some(host)
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok()
}

/// Whether a name may resolve somewhere, as far as it says so itself: nothing is asked here.
fn can_resolve(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host == "localhost"
        || (host.contains('.') && host.split('.').all(is_label) && !NOWHERE.contains(&last))
}
