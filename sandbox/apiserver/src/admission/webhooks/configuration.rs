//! Webhook configurations: read from their objects, checked before those are stored.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, RuleWithOperations, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::status::Cause;
use crate::tls::client_config;

/// Kubernetes' limits of `timeoutSeconds`, and its default.
const TIMEOUTS: std::ops::RangeInclusive<i32> = 1..=30;
const USUAL_TIMEOUT: i32 = 10;

/// The version of AdmissionReview that is spoken.
const REVIEW_VERSION: &str = "v1";

/// All webhooks of all configurations.
#[derive(Default)]
pub struct Webhooks {
    mutating: Vec<Webhook>,
    validating: Vec<Webhook>,
}

/// One webhook.
pub struct Webhook {
    pub name: String,
    pub mutates: bool,
    pub endpoint: Endpoint,
    /// The client's side of TLS, which knows the configured authority.
    pub tls: Arc<rustls::ClientConfig>,
    pub rules: Vec<RuleWithOperations>,
    /// Whether a request fails with the call.
    pub fail: bool,
    /// Whether rules name the very path of a request, and not another version of its kind.
    pub exact: bool,
    pub namespaces: Selector,
    pub objects: Selector,
    pub timeout: Duration,
    /// Whether it is asked once more when the object was changed after it.
    pub reinvoke: bool,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Service {
        namespace: String,
        name: String,
        port: u16,
        path: String,
    },
    Url(Uri),
}

// === impl Webhooks ===

impl Webhooks {
    /// The webhooks of these configurations, which are in the order of their names.
    pub fn read<'a>(
        mutating: impl Iterator<Item = &'a Arc<Value>>,
        validating: impl Iterator<Item = &'a Arc<Value>>,
    ) -> Self {
        let read = |object: &Arc<Value>, mutates: bool| -> Vec<Webhook> {
            let all = object["webhooks"].as_array().into_iter().flatten();
            let all = all.filter_map(|webhook| {
                // Objects are checked before they are stored, so that only a good one is here.
                let webhook = Webhook::read(webhook, mutates);
                webhook
                    .inspect_err(|cause| tracing::error!(field = %cause.field, "{}", cause.message))
                    .ok()
            });
            all.collect()
        };
        Self {
            mutating: mutating.flat_map(|object| read(object, true)).collect(),
            validating: validating.flat_map(|object| read(object, false)).collect(),
        }
    }

    pub fn mutating(&self) -> &[Webhook] {
        &self.mutating
    }

    pub fn validating(&self) -> &[Webhook] {
        &self.validating
    }
}

/// What is wrong with a configuration.
pub fn check(object: &Value, mutates: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut names = Vec::new();
    let webhooks = object["webhooks"].as_array().into_iter().flatten();
    for (index, webhook) in webhooks.enumerate() {
        let at = format!("webhooks[{index}]");
        if let Err(mut cause) = Webhook::read(webhook, mutates) {
            cause.field = format!("{at}.{}", cause.field);
            causes.push(cause);
        }
        if names.contains(&&webhook["name"]) {
            causes.push(Cause::duplicate(format!("{at}.name"), &webhook["name"]));
        }
        names.push(&webhook["name"]);
    }
    causes
}

// === impl Webhook ===

impl Webhook {
    fn read(value: &Value, mutates: bool) -> Result<Self, Cause> {
        // A validating webhook has the fields of a mutating one, but for `reinvocationPolicy`.
        let webhook = MutatingWebhook::deserialize(value)
            .map_err(|error| Cause::invalid("name", &value["name"], &error.to_string()))?;
        let MutatingWebhook {
            name,
            admission_review_versions,
            client_config: client,
            failure_policy,
            match_conditions,
            match_policy,
            namespace_selector,
            object_selector,
            reinvocation_policy,
            rules,
            side_effects,
            timeout_seconds,
        } = webhook;
        if name.split('.').count() < 3 || name.split('.').any(str::is_empty) {
            let why = "should be a domain with at least three segments separated by dots";
            return Err(Cause::invalid("name", &json!(name), why));
        }
        if !admission_review_versions
            .iter()
            .any(|one| one == REVIEW_VERSION)
        {
            let why = "must include at least one of v1";
            let given = json!(admission_review_versions);
            return Err(Cause::invalid("admissionReviewVersions", &given, why));
        }
        if match_conditions.is_some_and(|conditions| !conditions.is_empty()) {
            let why = "this server does not evaluate conditions in CEL; use the selectors";
            return Err(Cause::forbidden("matchConditions", why));
        }
        let side_effects = Some(side_effects);
        choice(&side_effects, "sideEffects", &["None", "NoneOnDryRun"])?;
        let fail = choice(&failure_policy, "failurePolicy", &["Fail", "Ignore"])? == "Fail";
        let exact = choice(&match_policy, "matchPolicy", &["Equivalent", "Exact"])? == "Exact";
        let policies = ["Never", "IfNeeded"];
        let reinvoke = choice(&reinvocation_policy, "reinvocationPolicy", &policies)? == "IfNeeded";
        let timeout = timeout_seconds.unwrap_or(USUAL_TIMEOUT);
        if !TIMEOUTS.contains(&timeout) {
            let why = "the timeout value must be between 1 and 30 seconds";
            return Err(Cause::invalid("timeoutSeconds", &json!(timeout), why));
        }
        let selector = |field: &str, selector: Option<LabelSelector>| {
            Selector::try_from(selector.unwrap_or_default())
                .map_err(|error| Cause::invalid(field, &value[field], &error.to_string()))
        };
        let rules = rules.unwrap_or_default();
        rules.iter().enumerate().try_for_each(check_rule)?;
        let bundle = client.ca_bundle.as_ref().map(|bundle| bundle.0.clone());
        let tls = client_config(bundle.as_deref()).map_err(|error| {
            let given = json!(STANDARD.encode(bundle.unwrap_or_default()));
            Cause::invalid("clientConfig.caBundle", &given, &error.to_string())
        })?;
        Ok(Self {
            name,
            mutates,
            endpoint: Endpoint::read(client)?,
            tls: Arc::new(tls),
            rules,
            fail,
            exact,
            namespaces: selector("namespaceSelector", namespace_selector)?,
            objects: selector("objectSelector", object_selector)?,
            timeout: Duration::from_secs(timeout.unsigned_abs().into()),
            reinvoke,
        })
    }
}

/// One of several words, of which the first is the default.
fn choice<'a>(
    given: &'a Option<String>,
    field: &str,
    known: &[&'static str],
) -> Result<&'a str, Cause>
where
    'static: 'a,
{
    match given.as_deref() {
        None | Some("") => Ok(known.first().copied().unwrap_or_default()),
        Some(word) if known.contains(&word) => Ok(word),
        Some(word) => {
            let known: Vec<String> = known.iter().map(|word| (*word).to_owned()).collect();
            Err(Cause::unsupported(field, &json!(word), &known))
        }
    }
}

fn check_rule((index, rule): (usize, &RuleWithOperations)) -> Result<(), Cause> {
    let fields = [
        ("apiGroups", &rule.api_groups),
        ("apiVersions", &rule.api_versions),
        ("operations", &rule.operations),
        ("resources", &rule.resources),
    ];
    for (field, words) in fields {
        if words.as_ref().is_none_or(Vec::is_empty) {
            return Err(Cause::required(format!("rules[{index}].{field}"), ""));
        }
    }
    let known = ["*", "CREATE", "UPDATE", "DELETE", "CONNECT"];
    for word in rule.operations.iter().flatten() {
        choice(
            &Some(word.clone()),
            &format!("rules[{index}].operations"),
            &known,
        )?;
    }
    let scopes = ["*", "Cluster", "Namespaced"];
    choice(&rule.scope, &format!("rules[{index}].scope"), &scopes).map(|_| ())
}

// === impl Endpoint ===

impl Endpoint {
    fn read(client: WebhookClientConfig) -> Result<Self, Cause> {
        let WebhookClientConfig {
            ca_bundle: _,
            service,
            url,
        } = client;
        match (service, url) {
            (Some(service), None) => {
                let port = service.port.unwrap_or(443);
                let port = u16::try_from(port).ok().filter(|port| *port > 0);
                Ok(Self::Service {
                    port: port.ok_or_else(|| {
                        let why = "must be between 1 and 65535, inclusive";
                        let given = json!(service.port);
                        Cause::invalid("clientConfig.service.port", &given, why)
                    })?,
                    namespace: service.namespace,
                    name: service.name,
                    path: service.path.unwrap_or_else(|| "/".to_owned()),
                })
            }
            (None, Some(url)) => {
                let bad = |why: &str| Cause::invalid("clientConfig.url", &json!(url), why);
                let parsed: Uri = url.parse().map_err(|_| bad("is no URL"))?;
                if parsed.scheme_str() != Some("https") {
                    return Err(bad("'https' is the only allowed URL scheme"));
                }
                if parsed.host().unwrap_or_default().is_empty() {
                    return Err(bad("host must be specified"));
                }
                Ok(Self::Url(parsed))
            }
            _ => Err(Cause::required(
                "clientConfig",
                "exactly one of url or service is required",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut webhook = json!({
            "name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"namespace": "n", "name": "s"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        });
        change(&mut webhook);
        let causes = check(&json!({"webhooks": [webhook]}), true);
        causes.into_iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn configurations_are_checked_before_they_are_stored() {
        assert_eq!(webhook(|_| {}), Vec::<String>::new());
        let cases: [(&str, Value, &str); 9] = [
            ("/name", json!("short"), "name"),
            (
                "/admissionReviewVersions",
                json!(["v1beta1"]),
                "admissionReviewVersions",
            ),
            ("/sideEffects", json!("Some"), "sideEffects"),
            ("/clientConfig", json!({}), "clientConfig"),
            (
                "/clientConfig",
                json!({"url": "http://x/"}),
                "clientConfig.url",
            ),
            (
                "/clientConfig/service/port",
                json!(0),
                "clientConfig.service.port",
            ),
            (
                "/rules/0/operations",
                json!(["READ"]),
                "rules[0].operations",
            ),
            ("/rules/0/resources", json!([]), "rules[0].resources"),
            (
                "/clientConfig/caBundle",
                json!("bm8gUEVN"),
                "clientConfig.caBundle",
            ),
        ];
        for (at, value, field) in cases {
            let found = webhook(|webhook| {
                let (place, name) = at.rsplit_once('/').unwrap();
                webhook.pointer_mut(place).unwrap()[name] = value.clone();
            });
            assert_eq!(found, [format!("webhooks[0].{field}")], "{at}: {value}");
        }
    }
}
