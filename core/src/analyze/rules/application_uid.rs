//! Applications that run as the user of the proxy, whose traffic is not captured (IST0144).

use k8s_openapi::api::core::v1::PodSpec;

use crate::analyze::context::Context;
use crate::analyze::pods::PROXY;
use crate::analyze::{Rule, finding, is_of_control_plane};
use crate::authz::template;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "applicationUID.Analyzer",
    summary: "no application runs as the user of the proxy",
    codes: &["IST0144"],
    check,
};

/// The user that proxies run as.
const PROXY_USER: i64 = 1337;

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let kinds = [
        (Kind::Pod, "spec"),
        (Kind::Deployment, "spec.template.spec"),
    ];
    for (kind, path) in kinds {
        for resource in context.snapshot.resources(kind) {
            if is_of_control_plane(&resource.meta) {
                continue;
            }
            let spec = match &resource.object {
                Object::Pod(pod) => pod.spec.as_ref(),
                object => template(object).and_then(|template| template.spec.as_ref()),
            };
            let path = FieldPath::parse(path);
            let Some(path) = spec.and_then(|spec| runs_as_proxy(spec, &path)) else {
                continue;
            };
            let mut found = finding(
                "IST0144",
                Level::Warning,
                resource,
                path,
                format!("user {PROXY_USER} is reserved for the proxy"),
            );
            found.hint = Some(
                "run the application as another user: traffic of this one bypasses the proxy"
                    .to_owned(),
            );
            findings.push(found);
        }
    }
}

/// Where it is said first that an application runs as the proxy's user.
fn runs_as_proxy(spec: &PodSpec, path: &FieldPath) -> Option<FieldPath> {
    let user = |path: &FieldPath| path.key("securityContext").key("runAsUser");
    let of_pod = spec.security_context.as_ref();
    if of_pod.is_some_and(|context| context.run_as_user == Some(PROXY_USER)) {
        return Some(user(path));
    }
    let mut containers = spec.containers.iter().enumerate();
    let (position, _) = containers.find(|(_, container)| {
        let context = container.security_context.as_ref();
        container.name != PROXY
            && context.is_some_and(|context| context.run_as_user == Some(PROXY_USER))
    })?;
    Some(user(&path.key("containers").index(position)))
}
